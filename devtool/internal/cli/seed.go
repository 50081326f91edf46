package cli

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/control"
	"example.com/goldenpath/devtool/internal/project"
	"example.com/goldenpath/seeds"
)

func (a *app) seedCommand() *cobra.Command {
	var q control.SeedRequest
	var asJSON bool
	c := &cobra.Command{
		Use:   "seed [PROFILE]",
		Short: "Put a data set into the database, the same on every machine",
		Long: "Replaces the rows of the tables that the data set describes. The same profile and scale\n" +
			"give the same rows, and so the same digest, on every machine; --verify compares the\n" +
			"database with it and changes nothing.",
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return a.profiles(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			if q.Scale < 1 {
				return console.Fail(console.ExitUsage, "--scale 10 makes ten times the rows", "--scale %d: must be at least 1", q.Scale)
			}
			if len(args) == 1 {
				q.Profile = args[0]
			}
			return a.withStack(func(_ *project.Project, client *control.Client) error {
				if q.Scale > 1 {
					a.Saying("seeding %s times the rows", strconv.Itoa(q.Scale))
				}
				report, err := client.Seed(c.Context(), q)
				if err != nil {
					return err
				}
				return a.printSeed(q, report, asJSON)
			})
		},
	}
	c.Flags().IntVar(&q.Scale, "scale", 1, "how many times the rows")
	c.Flags().BoolVar(&q.Verify, "verify", false, "compare the database with the data set, change nothing")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *app) printSeed(q control.SeedRequest, r control.SeedReport, asJSON bool) error {
	switch {
	case asJSON:
		if err := a.json(r); err != nil {
			return err
		}
	default:
		for _, t := range r.Tables {
			fmt.Fprintf(a.Out, "%s: %d rows\n", t.Name, t.Rows)
		}
		fmt.Fprintf(a.Out, "%s %s\n", r.Digest, r.Profile)
		if !q.Verify {
			a.Saying("seeded in %s", console.Seconds(time.Duration(r.MS)*time.Millisecond))
		}
	}
	if q.Verify && !r.Same {
		return console.Fail(console.ExitNo, self()+" seed puts it back; "+self()+" reset makes all as new",
			"the database differs from data set %s in table %s (it digests to %s)", r.Profile, r.Differs, r.Found)
	}
	return nil
}

func (a *app) profiles() []string {
	p, err := a.project()
	if err != nil || p.Seeds.Dir == "" {
		return nil
	}
	infos, err := seeds.Profiles(p.Path(p.Seeds.Dir))
	if err != nil {
		return nil
	}
	var names []string
	for _, i := range infos {
		names = append(names, i.Name)
	}
	return names
}
