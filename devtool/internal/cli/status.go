package cli

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"example.com/goldenpath/chaos"
	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/control"
	"example.com/goldenpath/devtool/internal/project"
)

func (a *app) statusCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "What runs, where, with which faults",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withStack(func(_ *project.Project, client *control.Client) error {
				return a.status(c.Context(), client, asJSON)
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *app) status(ctx context.Context, c *control.Client, asJSON bool) error {
	st, err := c.Status(ctx)
	if err != nil {
		return err
	}
	st.Forwarded = forwarded(os.Getenv, st.Endpoints)
	if asJSON {
		return a.json(st)
	}
	w := a.Out
	fmt.Fprintf(w, "%s, engine %s, pid %d, up for %s\n\n", st.State, st.Engine, st.Supervisor.PID, console.Seconds(time.Since(st.Supervisor.Since)))
	rows := [][]string{{"service", "gateway", string(st.State), st.Endpoints["service"], "", ""}, {"toxiproxy", "api", string(st.State), st.Endpoints["toxiproxy"], "", ""}}
	for _, d := range st.Dependencies {
		rows = append(rows, []string{d.Name, d.Kind, string(d.State), d.Proxy, strconv.Itoa(d.Restarts), d.Server})
	}
	for _, p := range st.Processes {
		rows = append(rows, []string{p.Name, "process", string(p.State), "pid " + strconv.Itoa(p.PID), strconv.Itoa(p.Restarts), ""})
	}
	console.Table(w, []string{"name", "kind", "state", "where", "restarts", "server"}, rows)
	a.printForwarded(st)
	fmt.Fprintf(w, "\nreload: %s; %s, %d held, %d dropped, last took %s\n", st.Reload.Watching, plural(st.Reload.Count, "reload"),
		st.Reload.Held, st.Reload.Dropped, console.Seconds(time.Duration(st.Reload.LastMS)*time.Millisecond))
	if st.Reload.LastError != "" {
		fmt.Fprintf(w, "%s %s\n", console.Paint(a.OutColor, console.Red, "last build:"), strings.TrimSpace(st.Reload.LastError))
	}
	for _, m := range st.Moved {
		fmt.Fprintf(w, "port: %s is on %d, not %d\n", m.Name, m.Got, m.Wanted)
	}
	fmt.Fprintln(w)
	a.printFaults(st.Faults)
	return nil
}

// printFaults lists what is wrong on purpose.
func (a *app) printFaults(faults []chaos.Fault) {
	if len(faults) == 0 {
		fmt.Fprintln(a.Out, "no faults")
		return
	}
	rows := make([][]string, 0, len(faults))
	for _, f := range faults {
		rows = append(rows, []string{f.ID, f.Target, f.Type, attributes(f), strconv.FormatInt(f.Hits, 10),
			console.Seconds(time.Until(f.ExpiresAt))})
	}
	console.Table(a.Out, []string{"fault", "on", "type", "attributes", "hits", "ends in"}, rows)
}

func attributes(f chaos.Fault) string {
	var parts []string
	for _, k := range sortedKeys(f.Attributes) {
		parts = append(parts, fmt.Sprintf("%s=%v", k, f.Attributes[k]))
	}
	if f.Probability > 0 && f.Probability < 1 {
		parts = append(parts, fmt.Sprintf("probability=%v", f.Probability))
	}
	return strings.Join(parts, " ")
}
