package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/replay"
	"example.com/goldenpath/replay/archive"
)

func (a *app) replayListCommand() *cobra.Command {
	var f archive.Filter
	var asJSON bool
	c := &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "What was captured, newest first", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.replayList(f, asJSON) },
	}
	c.Flags().IntVarP(&f.Limit, "limit", "n", 20, "how many")
	c.Flags().StringVar(&f.Method, "method", "", "of this method only")
	c.Flags().StringVar(&f.Path, "path", "", "whose path begins like this")
	c.Flags().IntVar(&f.Status, "status", 0, "with this status, or class: 5 is 500 to 599")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// captures opens the archive of the project. It needs no running stack: what
// was captured stays.
func (a *app) captures() (*archive.Reader, error) {
	p, err := a.project()
	if err != nil {
		return nil, err
	}
	r, err := archive.Open(p.Path(p.Replay.Captures))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, console.Fail(console.ExitNo, self()+" up, and send the service a request", "nothing was captured yet")
	}
	return r, err
}

func (a *app) replayList(f archive.Filter, asJSON bool) error {
	r, err := a.captures()
	if err != nil {
		return err
	}
	defer r.Close()
	list, err := r.List(f)
	if err != nil {
		return err
	}
	if asJSON {
		if list == nil {
			list = []archive.Summary{}
		}
		return a.json(list)
	}
	rows := make([][]string, 0, len(list))
	for _, s := range list {
		rows = append(rows, []string{s.TraceID, s.Time.Local().Format("15:04:05"), s.Method, s.URL, strconv.Itoa(s.Status),
			console.Seconds(s.Duration)})
	}
	console.Table(a.Out, []string{"trace", "at", "method", "url", "status", "took"}, rows)
	if d := r.Damage(); d.Lines > 0 || d.Segments > 0 {
		a.Saying("%s and %s could not be read and were passed over", plural(int(d.Lines), "line"), plural(int(d.Segments), "segment"))
	}
	return nil
}

func (a *app) replayShowCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "show TRACE-ID", Short: "One captured request and its response, as recorded", Args: cobra.ExactArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return a.recentTraces(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error { return a.replayShow(args[0], asJSON) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *app) replayShow(id string, asJSON bool) error {
	p, err := a.project()
	if err != nil {
		return err
	}
	ex, others, err := find(p.Path(p.Replay.Captures), id)
	if err != nil {
		return err
	}
	if asJSON {
		return a.json(ex)
	}
	w := a.Out
	fmt.Fprintf(w, "trace %s, request %s, %s, took %s\n", ex.TraceID, ex.RequestID, ex.Time.Local().Format("2006-01-02 15:04:05.000"), console.Seconds(ex.Duration))
	if others > 0 {
		fmt.Fprintf(w, "the trace has %s more; replay ls --json has the ids of all\n", plural(others, "request"))
	}
	fmt.Fprintf(w, "\n%s %s %s\n", ex.Request.Method, ex.Request.URL, ex.Request.Proto)
	a.printMessage(ex.Request.Header, ex.Request.Body)
	fmt.Fprintf(w, "\n%d\n", ex.Response.Status)
	a.printMessage(ex.Response.Header, ex.Response.Body)
	if len(ex.Redacted) > 0 {
		fmt.Fprintf(w, "\nredacted: %s\n", strings.Join(ex.Redacted, ", "))
	}
	return nil
}

func (a *app) printMessage(header map[string][]string, body replay.Body) {
	for _, name := range sortedKeys(header) {
		for _, v := range header[name] {
			fmt.Fprintf(a.Out, "%s: %s\n", name, v)
		}
	}
	if len(body.Bytes) > 0 {
		fmt.Fprintf(a.Out, "\n%s\n", strings.TrimRight(string(body.Bytes), "\n"))
	}
	if body.State != replay.Full {
		fmt.Fprintf(a.Out, "(body %s, %d bytes seen)\n", body.State, body.Size)
	}
}

// recentTraces is for completion.
func (a *app) recentTraces() []string {
	r, err := a.captures()
	if err != nil {
		return nil
	}
	defer r.Close()
	list, err := r.List(archive.Filter{Limit: 20})
	if err != nil {
		return nil
	}
	var names []string
	for _, s := range list {
		names = append(names, fmt.Sprintf("%s\t%s %s %d", s.TraceID, s.Method, s.URL, s.Status))
	}
	return names
}

// find looks a trace up. A trace with several requests gives the last, and how
// many others there are.
func find(dir, id string) (*replay.Exchange, int, error) {
	r, err := archive.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, console.Fail(console.ExitNo, "send the service a request first", "nothing was captured yet")
	}
	if err != nil {
		return nil, 0, err
	}
	defer r.Close()
	found, err := r.Find(id)
	var lookup *archive.LookupError
	switch {
	case errors.As(err, &lookup):
		exit, hint := console.ExitNo, self()+" replay ls"
		if errors.Is(err, archive.ErrInvalidID) {
			exit = console.ExitUsage
		}
		if len(lookup.Nearest) > 0 {
			hint = "nearest: " + strings.Join(lookup.Nearest, ", ") + "; all: " + hint
		}
		return nil, 0, console.Fail(exit, hint, "%v", err)
	case err != nil:
		return nil, 0, err
	}
	return found[len(found)-1], len(found) - 1, nil
}
