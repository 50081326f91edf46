package cli

import (
	"time"

	"github.com/spf13/cobra"

	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/control"
	"example.com/goldenpath/devtool/internal/project"
)

func (a *app) resetCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "reset",
		Short: "Schema and seeds as new, in under a second; faults cleared",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withStack(func(_ *project.Project, client *control.Client) error {
				report, err := client.Reset(c.Context())
				if err != nil {
					return err
				}
				if asJSON {
					return a.json(report)
				}
				a.Saying("as new in %s: data set %s%s%s", console.Seconds(time.Duration(report.MS)*time.Millisecond), report.Profile,
					when(report.Rebuilt, "; migrations or seeds had changed, so the template was built anew"),
					when(report.Cleared > 0, "; "+plural(report.Cleared, "fault")+" cleared"))
				if report.InFlight > 0 {
					a.Saying("%s did not end in time and may have failed", plural(int(report.InFlight), "request"))
				}
				return nil
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func when(cond bool, text string) string {
	if cond {
		return text
	}
	return ""
}
