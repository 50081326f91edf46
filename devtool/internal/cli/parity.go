package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/parity"
	"example.com/goldenpath/devtool/internal/parity/servers"
	"example.com/goldenpath/devtool/internal/parity/suite"
	"example.com/goldenpath/devtool/internal/project"
	"example.com/goldenpath/devtool/internal/stack"
	"example.com/goldenpath/devtool/internal/stack/compose"
)

type parityOptions struct {
	of   []string // two engines
	only []string // kinds
	json bool
}

// parityReport is what parity --json prints.
type parityReport struct {
	Verdict    parity.Verdict         `json:"verdict"` // the worst of all
	Counts     map[parity.Verdict]int `json:"counts"`
	Engines    []parityEngine         `json:"engines"`
	Behaviours []parity.Comparison    `json:"behaviours"`
}

type parityEngine struct {
	Engine  string            `json:"engine"`
	Servers map[string]string `json:"servers"` // by kind
	MS      int64             `json:"ms"`      // starting and stopping included
}

func (a *app) parityCommand() *cobra.Command {
	var o parityOptions
	c := &cobra.Command{
		Use:   "parity",
		Short: "What differs between the servers of two engines, and what it means",
		Long: "Starts the servers of two engines beside whatever runs, with data of their own, puts the\n" +
			"same behaviours to both, and says where the answers differ. Differences that are known\n" +
			"come with what they mean; one that is not known gives exit code 1.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.parity(c.Context(), o) },
	}
	c.Flags().StringSliceVar(&o.of, "of", nil, "the two `engines`: embedded, compose, attached (default embedded,compose; in the dev container embedded,attached)")
	c.Flags().StringSliceVar(&o.only, "only", nil, "the `kinds` of servers: postgres, redis, kafka (default all)")
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return c
}

func (a *app) parity(ctx context.Context, o parityOptions) error {
	p, err := a.project()
	if err != nil {
		return err
	}
	if o.of == nil {
		o.of = []string{"embedded", "compose"}
		if chosen, err := stack.Choose(ctx, p, "auto"); err == nil && chosen.Engine == "attached" {
			o.of[1] = chosen.Engine
		}
	}
	wanted, err := o.check(p)
	if err != nil {
		return err
	}
	if slices.Contains(o.of, "compose") { // before the other one takes its time
		if _, err := compose.Answers(ctx); err != nil {
			return &console.Failure{Exit: console.ExitFailed, Text: "compare with containers", Cause: err, Hint: "start Docker, then " + self() + " parity"}
		}
	}
	known, err := parity.Differences()
	if err != nil {
		return err
	}
	report := parityReport{Counts: map[parity.Verdict]int{}}
	var results [2][]parity.Result
	progress := console.NewProgress(a.Streams)
	defer progress.Close()
	for i, engine := range o.of {
		var ran parityEngine
		if ran, results[i], err = runParity(ctx, p, engine, wanted, progress); err != nil {
			return err
		}
		report.Engines = append(report.Engines, ran)
	}
	progress.Close()
	report.Behaviours = parity.Compare(results[0], results[1], known)
	for _, v := range parity.Verdicts {
		if n := parity.Count(report.Behaviours, v); n > 0 {
			report.Counts[v], report.Verdict = n, v
		}
	}
	if o.json {
		if err := a.json(report); err != nil {
			return err
		}
	} else {
		report.print(a.Out, a.OutColor)
	}
	return report.failure()
}

// check gives the dependencies to start servers for, one of each kind.
func (o parityOptions) check(p *project.Project) ([]project.Dependency, error) {
	if len(o.of) != 2 {
		return nil, console.Fail(console.ExitUsage, self()+" parity --of embedded,compose", "--of takes two engines, not %d", len(o.of))
	}
	for _, engine := range o.of {
		if !slices.Contains(servers.Engines, engine) {
			return nil, console.Fail(console.ExitUsage, self()+" parity --of embedded,compose",
				"there is no engine %q to compare, only %s", engine, strings.Join(servers.Engines, ", "))
		}
	}
	var kinds []string
	for _, s := range suite.All() {
		kinds = append(kinds, s.Kind)
	}
	for _, kind := range o.only {
		if !slices.Contains(kinds, kind) {
			return nil, console.Fail(console.ExitUsage, self()+" parity --only redis", "there is no kind %q, only %s", kind, strings.Join(kinds, ", "))
		}
	}
	var wanted []project.Dependency
	for _, d := range p.Dependencies {
		there := slices.ContainsFunc(wanted, func(w project.Dependency) bool { return w.Kind == d.Kind })
		if !there && (len(o.only) == 0 || slices.Contains(o.only, d.Kind)) {
			wanted = append(wanted, d)
		}
	}
	if len(wanted) == 0 {
		return nil, console.Fail(console.ExitUsage, "add one to "+project.File+", or leave --only out", "%s has no dependency to compare", project.File)
	}
	return wanted, nil
}

// runParity starts the servers of an engine, runs the suites and takes all away.
func runParity(ctx context.Context, p *project.Project, engine string, wanted []project.Dependency,
	progress *console.Progress) (ran parityEngine, results []parity.Result, err error) {
	began := time.Now()
	progress.Begin(engine)
	defer func() {
		if err != nil {
			progress.Fail(engine, time.Since(began))
		}
	}()
	progress.Note(engine, "starting its servers")
	open, stop, err := servers.Open(ctx, p, engine, wanted, func(text string) { progress.Note(engine, text) })
	if err == nil {
		var done atomic.Int64
		results, err = parity.Run(ctx, open, suite.All(), func(r parity.Result) {
			progress.Note(engine, fmt.Sprintf("%s, %s", plural(int(done.Add(1)), "behaviour"), r.ID))
		})
	}
	progress.Note(engine, "stopping its servers")
	if stopping := stop(); err == nil && stopping != nil {
		err = fmt.Errorf("stop the servers of engine %s: %w", engine, stopping)
	}
	if err != nil {
		return ran, nil, err
	}
	took := time.Since(began)
	ran = parityEngine{Engine: engine, Servers: map[string]string{}, MS: took.Milliseconds()}
	for kind, end := range open.Endpoints {
		ran.Servers[kind] = end.Name
	}
	progress.End(engine, plural(len(results), "behaviour"), took)
	return ran, results, nil
}

func (r parityReport) print(w io.Writer, color bool) {
	fmt.Fprintln(w)
	for _, e := range r.Engines {
		for _, s := range suite.All() {
			if name, ok := e.Servers[s.Kind]; ok {
				fmt.Fprintf(w, "%-9s %-9s %s\n", e.Engine, s.Kind, name)
			}
		}
	}
	style := map[parity.Verdict]console.Style{parity.New: console.Red, parity.Broken: console.Red, parity.Vanished: console.Yellow}
	for _, v := range parity.Verdicts {
		for _, c := range r.Behaviours {
			if c.Verdict != v || v == parity.Same {
				continue
			}
			fmt.Fprintf(w, "\n%s %s: %s\n", console.Paint(color, style[v], string(v)), console.Paint(color, console.Bold, c.ID), c.What)
			for _, line := range wrapped(c.Means, 86) {
				fmt.Fprintf(w, "  %s\n", line)
			}
			if v == parity.New || v == parity.Broken {
				for i, s := range c.Seen {
					fmt.Fprintf(w, "  %-9s %s\n", r.Engines[i].Engine, s.Observation+s.Error)
				}
			}
		}
	}
	var counts []string
	for _, v := range parity.Verdicts {
		if n := r.Counts[v]; n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, v))
		}
	}
	fmt.Fprintf(w, "\n%s: %s\n", plural(len(r.Behaviours), "behaviour"), strings.Join(counts, ", "))
	if r.Counts[parity.Vanished] > 0 {
		fmt.Fprintf(w, "those that vanished are listed as different, and were not: the list is for other versions, or out of date\n")
	}
}

// failure is what is wrong with the report, if anything.
func (r parityReport) failure() error {
	if n := r.Counts[parity.Broken]; n > 0 {
		return console.Fail(console.ExitFailed, self()+" parity again; "+self()+" parity --json has the whole of it", "%s could not be observed", plural(n, "behaviour"))
	}
	if n := r.Counts[parity.New]; n > 0 {
		return console.Fail(console.ExitNo, "docs/parity.md says how to find out what it means, and how to put it on the list",
			"%s in a way that is not known", plural(n, "behaviour")+" differ"+when(n == 1, "s"))
	}
	return nil
}

// wrapped cuts text into lines of at most so many characters.
func wrapped(text string, width int) []string {
	var lines []string
	var line string
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
