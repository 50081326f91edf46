package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/control"
	"example.com/goldenpath/devtool/internal/project"
	"example.com/goldenpath/replay"
	"example.com/goldenpath/replay/diff"
	"example.com/goldenpath/replay/play"
)

// learning is how often a request that changes nothing is played when nobody
// says how often: once to compare, the rest to learn which fields are volatile.
const learning = 3

type replayOptions struct {
	repeat  int
	json    bool
	strict  bool
	force   bool
	target  string
	headers []string
}

func (a *app) replayCommand() *cobra.Command {
	var o replayOptions
	c := &cobra.Command{
		Use:   "replay TRACE-ID",
		Short: "Send a captured request again at the code as it is now, and say what differs",
		Long: "Finds the request that the trace id of a response leads to, sends it through the gateway in a\n" +
			"new trace that is linked to the old one, and compares status, headers that matter and body.\n" +
			"Requests that change nothing are sent three times, to learn which fields are volatile.\n" +
			"The first characters of a trace id will do. Exit code 0: the same, 1: different.",
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return a.recentTraces(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return console.Fail(console.ExitUsage, self()+" replay ls lists what was captured", "replay needs a trace id, as in the X-Trace-Id header of a response")
			}
			return a.withStack(func(p *project.Project, client *control.Client) error {
				return a.replay(c.Context(), client, args[0], o)
			})
		},
	}
	c.Flags().IntVar(&o.repeat, "repeat", 0, "send it `N` times")
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	c.Flags().BoolVar(&o.strict, "strict", false, "call nothing volatile that was not seen to vary")
	c.Flags().BoolVar(&o.force, "force", false, "send a request of whose body a part is missing")
	c.Flags().StringVar(&o.target, "target", "", "another `URL` on this machine, instead of the gateway")
	c.Flags().StringArrayVarP(&o.headers, "header", "H", nil, "set a header, as in -H 'Authorization: Bearer …', where the recorded one was redacted")
	c.AddCommand(a.replayListCommand(), a.replayShowCommand())
	return c
}

// verdict is the outcome in the contract's words.
type verdict string

const (
	same      verdict = "same"
	different verdict = "different"
	failing   verdict = "error"
)

// replayReport is what `replay --json` prints.
type replayReport struct {
	TraceID       string            `json:"trace_id"`
	ReplayTraceID string            `json:"replay_trace_id"`
	Verdict       verdict           `json:"verdict"`
	Status        statusPair        `json:"status"`
	Differences   []diff.Difference `json:"differences"`
	Volatile      []diff.Volatile   `json:"volatile"`
	Notes         []string          `json:"notes,omitempty"` // what could not be compared
	Spans         spans             `json:"spans"`
	Fidelity      play.Fidelity     `json:"fidelity"`
	Attempts      []attempt         `json:"attempts"`
	Error         string            `json:"error,omitempty"`
}

// spans says whether the spans of both traces were held against each other. They
// are not kept yet, so they never are.
type spans struct {
	Compared bool   `json:"compared"`
	Reason   string `json:"reason"`
}

type statusPair struct {
	Recorded int `json:"recorded"`
	Replayed int `json:"replayed"`
}

type attempt struct {
	TraceID string `json:"trace_id"`
	Status  int    `json:"status"`
	MS      int64  `json:"ms"`
	Error   string `json:"error,omitempty"`
}

func (a *app) replay(ctx context.Context, c *control.Client, id string, o replayOptions) error {
	st, err := c.Status(ctx)
	if err != nil {
		return err
	}
	ex, others, err := find(st.Captures, id)
	if err != nil {
		return err
	}
	options, err := o.play(st, ex)
	if err != nil {
		return err
	}
	attempts, err := play.Play(ctx, ex, options)
	var refused *play.RefusedError
	if errors.As(err, &refused) {
		return console.Fail(console.ExitUsage, self()+" replay show "+ex.TraceID, "%s", refused.Error())
	}
	var unknown *net.DNSError
	if errors.As(err, &unknown) {
		return console.Fail(console.ExitUsage, "--target http://127.0.0.1:PORT: a replay goes to a loopback address alone", "%v", err)
	}
	if err != nil {
		return err
	}
	report, result := compare(ex, attempts, o)
	report.Fidelity = play.Assess(ex, options)
	if o.json {
		err = a.json(report)
	} else {
		if others > 0 {
			a.Saying("the trace has %s more; this is the last one, replay ls has the ids of all", plural(others, "request"))
		}
		err = a.printReplay(ex, report, result)
	}
	if err != nil {
		return err
	}
	switch report.Verdict {
	case same:
		return nil
	case different:
		return console.Silent(console.ExitNo)
	}
	return console.Fail(console.ExitFailed, self()+" status", "no answer to compare: %s", report.Error)
}

// play turns the flags into options.
func (o replayOptions) play(st control.Status, ex *replay.Exchange) (play.Options, error) {
	target := o.target
	if target == "" {
		target = st.Endpoints["service"]
	}
	u, err := url.Parse(target)
	if err != nil || u.Host == "" {
		return play.Options{}, console.Fail(console.ExitUsage, "--target http://127.0.0.1:8081", "--target %s is no URL with a host", target)
	}
	if o.repeat < 0 || o.repeat > play.MaxRepeat {
		return play.Options{}, console.Fail(console.ExitUsage, "--repeat 3", "--repeat %d: must be between 1 and %d", o.repeat, play.MaxRepeat)
	}
	options := play.Options{Target: u, Repeat: max(o.repeat, 1), Force: o.force, Headers: map[string]string{}}
	if o.repeat == 0 && play.Safe(ex) {
		options.Repeat = learning
	}
	for _, h := range o.headers {
		name, value, found := strings.Cut(h, ":")
		if !found || strings.TrimSpace(name) == "" {
			return play.Options{}, console.Fail(console.ExitUsage, "-H 'Name: value'", "-H %q is no header", h)
		}
		options.Headers[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return options, nil
}

// compare holds the recorded answer against those of the attempts that got one.
func compare(ex *replay.Exchange, attempts []play.Attempt, o replayOptions) (replayReport, diff.Result) {
	report := replayReport{TraceID: ex.TraceID, Status: statusPair{Recorded: ex.Response.Status},
		Differences: []diff.Difference{}, Volatile: []diff.Volatile{},
		Spans: spans{Reason: "the spans of the recorded request were not kept"}}
	var answers []replay.Response
	for _, at := range attempts {
		row := attempt{TraceID: at.TraceID, Status: at.Response.Status, MS: at.Duration.Milliseconds()}
		if at.Err != nil {
			row.Error = at.Err.Error()
			report.Error = row.Error
		} else {
			if len(answers) == 0 {
				report.ReplayTraceID, report.Status.Replayed = at.TraceID, at.Response.Status
			}
			answers = append(answers, at.Response)
		}
		report.Attempts = append(report.Attempts, row)
	}
	if len(answers) == 0 {
		report.Verdict = failing
		return report, diff.Result{}
	}
	result := diff.Compare(ex.Response, answers, diff.Options{Strict: o.strict, Request: &ex.Request})
	report.Verdict = different
	if result.Same {
		report.Verdict = same
	}
	report.Notes = result.Notes
	if result.Differences != nil {
		report.Differences = result.Differences
	}
	if result.Volatile != nil {
		report.Volatile = result.Volatile
	}
	return report, result
}

func (a *app) printReplay(ex *replay.Exchange, r replayReport, result diff.Result) error {
	w := a.Out
	fmt.Fprintf(w, "%s %s, recorded %s\n", ex.Request.Method, ex.Request.URL, ex.Time.Local().Format("2006-01-02 15:04:05"))
	fmt.Fprintf(w, "status %d then, %d now, in %s (%s)\n", r.Status.Recorded, r.Status.Replayed, took(r.Attempts), plural(len(r.Attempts), "attempt"))
	if r.Verdict != failing {
		if err := diff.Text(w, result, a.diffStyle(r.Verdict)); err != nil {
			return err
		}
	}
	for _, reason := range r.Fidelity.Reasons {
		fmt.Fprintf(w, "not as recorded: %s %s\n", reason.Path, reason.Detail)
	}
	_, err := fmt.Fprintf(w, "trace of the replay: %s\n", r.ReplayTraceID)
	return err
}

func (a *app) diffStyle(v verdict) diff.Style {
	in := func(style console.Style) func(string) string {
		return func(text string) string { return console.Paint(a.OutColor, style, text) }
	}
	heading := console.Green
	if v != same {
		heading = console.Red
	}
	return diff.Style{Heading: in(heading), Path: in(console.Bold), Recorded: in(console.Red), Replayed: in(console.Green), Dim: in(console.Dim)}
}

func took(attempts []attempt) string {
	if len(attempts) == 0 {
		return "no time"
	}
	return console.Seconds(time.Duration(attempts[0].MS) * time.Millisecond)
}
