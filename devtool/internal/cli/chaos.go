package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"example.com/goldenpath/chaos"
	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/control"
	"example.com/goldenpath/devtool/internal/project"
)

func (a *app) chaosCommand() *cobra.Command {
	var o chaos.Options
	var asJSON bool
	c := &cobra.Command{
		Use:   "chaos RECIPE [VALUE]",
		Short: "Make a dependency slow, absent or broken, now, on open connections",
		Long: "Applies a fault to a dependency: devtool chaos db-latency 500ms. It acts at once, on open\n" +
			"connections too, and ends by itself after --for. devtool chaos list shows every recipe.",
		Args: cobra.RangeArgs(0, 2),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return a.recipes(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			value := ""
			if len(args) == 2 {
				value = args[1]
			}
			return a.chaosApply(c.Context(), args[0], value, o, asJSON)
		},
	}
	c.Flags().DurationVar(&o.For, "for", chaos.DefaultLease, "how long the fault lasts")
	c.Flags().Float64Var(&o.Probability, "probability", 1, "share of connections that it acts on, above 0 and up to 1")
	c.Flags().DurationVar(&o.Jitter, "jitter", 0, "of latency: up to so much more or less")
	c.Flags().StringVar(&o.Stream, "stream", "", "one way only: upstream (requests) or downstream (replies)")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.AddCommand(a.chaosListCommand(), a.chaosStatusCommand(), a.chaosClearCommand())
	return c
}

func (a *app) chaosApply(ctx context.Context, name, value string, o chaos.Options, asJSON bool) error {
	p, err := a.project()
	if err != nil {
		return err
	}
	if o.For <= 0 {
		return console.Fail(console.ExitUsage, "--for 30s", "--for %s: a fault must last a while", o.For)
	}
	if o.Probability <= 0 || o.Probability > 1 {
		return console.Fail(console.ExitUsage, "--probability 0.2 acts on a fifth of the connections", "--probability %v: must be above 0 and up to 1", o.Probability)
	}
	spec, err := chaos.Parse(name, value, o, targets(p))
	if err != nil {
		return usage(err)
	}
	return a.withStack(func(_ *project.Project, c *control.Client) error {
		fault, err := c.ApplyFault(ctx, spec)
		if err != nil {
			return err
		}
		if asJSON {
			return a.json(fault)
		}
		fmt.Fprintln(a.Out, strings.TrimSpace(fmt.Sprintf("%s is on: %s %s", fault.ID, fault.Type, attributes(fault))))
		for _, r := range chaos.Recipes() {
			if strings.TrimPrefix(name, fault.Target+"-") == r.Fault {
				fmt.Fprintf(a.Out, "a client of %s sees: %s\n", fault.Target, r.Client)
			}
		}
		fmt.Fprintf(a.Out, "it ends by itself in %s; %s chaos clear ends it now\n", console.Seconds(time.Until(fault.ExpiresAt).Round(time.Second)), self())
		return nil
	})
}

func (a *app) chaosListCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "Every recipe, with an example", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.chaosList(asJSON) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *app) chaosList(asJSON bool) error {
	p, err := a.project()
	if err != nil {
		return err
	}
	type listed struct {
		Recipe  string `json:"recipe"`
		Summary string `json:"summary"`
		Client  string `json:"client"`
		Value   string `json:"value,omitempty"`
		Example string `json:"example"`
	}
	list := []listed{}
	for _, t := range targets(p) {
		for _, r := range chaos.Recipes() {
			list = append(list, listed{t.Name + "-" + r.Fault, r.Summary, r.Client, r.Value, t.Name + strings.TrimPrefix(r.Example, "db")})
		}
	}
	if asJSON {
		return a.json(list)
	}
	rows := make([][]string, 0, len(list))
	for _, l := range list {
		rows = append(rows, []string{l.Recipe, l.Summary, self() + " chaos " + l.Example})
	}
	console.Table(a.Out, []string{"recipe", "what it does", "example"}, rows)
	return nil
}

func (a *app) chaosStatusCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "status", Short: "The faults in force", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withStack(func(_ *project.Project, client *control.Client) error {
				st, err := client.Status(c.Context())
				if err != nil {
					return err
				}
				if asJSON {
					return a.json(map[string]any{"faults": st.Faults})
				}
				a.printFaults(st.Faults)
				return nil
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *app) chaosClearCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "clear [ID...]", Short: "End faults: those named, or all",
		RunE: func(c *cobra.Command, args []string) error {
			return a.withStack(func(_ *project.Project, client *control.Client) error {
				gone, err := client.ClearFaults(c.Context(), args...)
				if err != nil {
					return err
				}
				if asJSON {
					if gone == nil {
						gone = []chaos.Fault{}
					}
					return a.json(map[string]any{"cleared": gone})
				}
				if len(gone) == 0 {
					a.Saying("there were no faults")
				}
				for _, f := range gone {
					fmt.Fprintf(a.Out, "%s is off after %s\n", f.ID, plural(int(f.Hits), "hit"))
				}
				return nil
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// recipes are the names that chaos takes, for completion.
func (a *app) recipes() []string {
	p, err := a.project()
	if err != nil {
		return nil
	}
	var names []string
	for _, t := range targets(p) {
		for _, r := range chaos.Recipes() {
			names = append(names, t.Name+"-"+r.Fault+"\t"+r.Summary)
		}
	}
	return names
}
