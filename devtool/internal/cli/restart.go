package cli

import (
	"time"

	"github.com/spf13/cobra"

	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/control"
	"example.com/goldenpath/devtool/internal/project"
)

func (a *app) restartCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "restart NAME",
		Short: "Start a process or a dependency anew",
		Long:  "Starts a process anew without dropping a request: the old one serves until the new one is ready.\nA dependency is stopped and started; clients keep their address.",
		Args:  cobra.ExactArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return a.names(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			return a.withStack(func(_ *project.Project, client *control.Client) error {
				began := time.Now()
				if err := client.Restart(c.Context(), args[0]); err != nil {
					return err
				}
				a.Saying("%s is ready again after %s", args[0], console.Seconds(time.Since(began)))
				return nil
			})
		},
	}
}

// names are the processes and dependencies of the project, for completion.
func (a *app) names() []string {
	p, err := a.project()
	if err != nil {
		return nil
	}
	var names []string
	for _, q := range p.Processes {
		names = append(names, q.Name)
	}
	for _, d := range p.Dependencies {
		names = append(names, d.Name)
	}
	return names
}
