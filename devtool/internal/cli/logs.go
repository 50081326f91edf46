package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/control"
	"example.com/goldenpath/devtool/internal/project"
)

func (a *app) logsCommand() *cobra.Command {
	var q control.LogQuery
	var asJSON bool
	c := &cobra.Command{
		Use:   "logs [NAME...]",
		Short: "What the processes print, readable",
		Long: "Shows the last lines of all processes, or of those named; -f goes on with new ones.\n" +
			"The service's JSON is rendered for people; --json prints lines as they came.",
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return append(a.names(), "devtool", "reload"), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			return a.withStack(func(p *project.Project, client *control.Client) error {
				known := append(a.names(), "devtool", "reload")
				for _, name := range args {
					if !slices.Contains(known, name) {
						return console.Fail(console.ExitUsage, fmt.Sprintf("there are: %v", known), "nothing is named %q", name)
					}
				}
				q.Names = args
				print := a.linePrinter(p)
				if asJSON {
					enc := newLines(a.Out)
					print = func(l control.Line) error { return enc.Encode(l) }
				}
				err := client.Logs(c.Context(), q, print)
				if errors.Is(err, context.Canceled) {
					return nil // Ctrl-C is how one stops following
				}
				return err
			})
		},
	}
	c.Flags().BoolVarP(&q.Follow, "follow", "f", false, "go on with new lines until Ctrl-C")
	c.Flags().IntVarP(&q.Tail, "lines", "n", 200, "begin with the last `N` lines")
	c.Flags().BoolVar(&asJSON, "json", false, "print lines as JSON, as the processes wrote them")
	return c
}

// linePrinter prints lines for people: the process's name, then its words.
func (a *app) linePrinter(p *project.Project) func(control.Line) error {
	width := len("devtool")
	for _, name := range a.names() {
		width = max(width, len(name))
	}
	return func(l control.Line) error {
		_, err := fmt.Fprintf(a.Out, "%s %s\n", console.Prefix(l.Name, width, a.OutColor), console.RenderLog([]byte(l.Text), console.LogOptions{Color: a.OutColor}))
		return err
	}
}
