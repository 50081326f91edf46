package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/control"
	"example.com/goldenpath/devtool/internal/project"
	"example.com/goldenpath/devtool/internal/stack"
)

type upOptions struct {
	detach bool
	engine string
	fresh  bool
	json   bool
	seed   uint64
}

func (a *app) upCommand() *cobra.Command {
	var o upOptions
	c := &cobra.Command{
		Use:   "up",
		Short: "Bring everything up: dependencies, migrations, seeds, build, processes",
		Long: "Brings everything up and shows the logs until Ctrl-C takes all down.\n" +
			"With --detach it returns when the service answers; devtool down ends it.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.up(c.Context(), o) },
	}
	o.flags(c)
	c.Flags().BoolVarP(&o.detach, "detach", "d", false, "return when the service answers, leave it running")
	c.Flags().BoolVar(&o.json, "json", false, "print events as JSON, one a line")
	return c
}

func (o *upOptions) flags(c *cobra.Command) {
	c.Flags().StringVar(&o.engine, "engine", "auto", "who provides the dependencies: "+strings.Join(stack.Engines, ", "))
	c.Flags().BoolVar(&o.fresh, "fresh", false, "throw the data away first")
	c.Flags().Uint64Var(&o.seed, "chaos-seed", 1, "seed of the faults' random draws")
}

func (a *app) up(ctx context.Context, o upOptions) error {
	p, err := a.project()
	if err != nil {
		return err
	}
	view := newUpView(a, p, o)
	defer view.close()
	if o.detach {
		return a.upDetached(ctx, p, o, view)
	}
	binary, err := keepBinary(p)
	if err != nil {
		return err
	}
	s, err := stack.Open(stack.Options{Project: p, Engine: o.engine, Fresh: o.fresh, Devtool: binary, Seed: o.seed, Event: view.show})
	if errors.Is(err, stack.ErrRunning) {
		return a.upAlready(ctx, p, o, view)
	}
	if err != nil {
		return err
	}
	err = s.Up(ctx)
	if err == nil {
		view.close()
		logs, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			if !o.json {
				a.followLogs(logs, p, s)
			}
		}()
		select {
		case <-ctx.Done():
		case <-s.Done():
		}
		cancel()
		<-done
	}
	a.takeDown(s)
	if errors.Is(err, context.Canceled) {
		a.Saying("stopped; nothing is left running")
		return console.Silent(130)
	}
	return err
}

// takeDown closes the stack; a second Ctrl-C does not wait for it.
func (a *app) takeDown(s *stack.Stack) {
	again := make(chan os.Signal, 1)
	signal.Notify(again, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(again)
	began := time.Now()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.Close()
	}()
	slow := time.NewTimer(time.Second)
	defer slow.Stop()
	for {
		select {
		case <-closed:
			a.Saying("down in %s", console.Seconds(time.Since(began)))
			return
		case <-slow.C:
			a.Saying("taking everything down; requests under way may finish. Ctrl-C again kills it all")
		case <-again:
			s.Kill()
		}
	}
}

// followLogs prints what the processes print, from here on.
func (a *app) followLogs(ctx context.Context, p *project.Project, s *stack.Stack) {
	print := a.linePrinter(p)
	q := control.LogQuery{Follow: true, Tail: -1}
	// It ends with the context or the stack; a terminal that is gone ends both.
	_ = s.Logs(ctx, q, print)
}

// upAlready is a second up: it waits for the first to be ready, and says so.
func (a *app) upAlready(ctx context.Context, p *project.Project, o upOptions, view *upView) error {
	if o.fresh {
		return console.Fail(console.ExitUsage, self()+" down, then up --fresh", "a stack runs already for %s; --fresh would throw its data away", p.Root)
	}
	c, err := a.client(p)
	if err != nil {
		return err
	}
	defer c.Close()
	waiting := false
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	unanswered := 0
	for {
		st, err := c.Status(ctx)
		switch {
		case err == nil && st.State == control.Running:
			view.already(st)
			return nil
		case err == nil && !waiting:
			waiting = true
			a.Saying("another up (pid %d) is %s; waiting for it", st.Supervisor.PID, st.State)
		case errors.Is(err, control.ErrNoStack), errors.Is(err, control.ErrEnded):
			// Its socket may not be there yet, or not any more.
			if unanswered++; unanswered > 100 {
				return console.Fail(console.ExitFailed, self()+" down, then up", "a supervisor holds %s's lock but does not answer", p.Root)
			}
			dir, err := p.StateDir()
			if err != nil {
				return err
			}
			if unanswered > 2 && stack.Holder(dir) == 0 {
				return a.up(ctx, o) // it has ended: now it is our turn
			}
		case err != nil:
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// upView shows events: as JSON lines, or as progress for people.
type upView struct {
	app      *app
	project  *project.Project
	options  upOptions
	progress *console.Progress
	enc      *json.Encoder
}

func newUpView(a *app, p *project.Project, o upOptions) *upView {
	v := &upView{app: a, project: p, options: o}
	if o.json {
		v.enc = json.NewEncoder(&lineLock{w: a.Out})
		return v
	}
	v.progress = console.NewProgress(a.Streams)
	return v
}

func (v *upView) close() {
	if v.progress != nil {
		v.progress.Close()
	}
}

func (v *upView) show(e control.Event) {
	if v.enc != nil {
		_ = v.enc.Encode(e) // nobody reads: nothing to do about it
		return
	}
	took := time.Duration(e.MS) * time.Millisecond
	switch e.Kind {
	case "step":
		switch e.State {
		case "begin":
			v.progress.Begin(e.Name)
		case "note":
			v.progress.Note(e.Name, e.Detail)
		case "end":
			v.progress.End(e.Name, e.Detail, took)
		case "fail":
			v.progress.Fail(e.Name, took)
		}
	case "say":
		v.progress.Say("   " + e.Detail)
		if e.Hint != "" {
			v.progress.Say("   hint: " + e.Hint)
		}
	case "ready":
		v.progress.Close()
		v.ready(*e.Status, fmt.Sprintf("%s is up in %s", v.project.Name, console.Seconds(took)))
	}
}

func (v *upView) already(st control.Status) {
	if v.enc != nil {
		_ = v.enc.Encode(control.Event{Time: time.Now(), Kind: "ready", Detail: "it runs already", Status: &st})
		return
	}
	v.progress.Close()
	v.ready(st, v.project.Name+" runs already")
}

// ready prints where everything is and what to type next.
func (v *upView) ready(st control.Status, head string) {
	w := v.app.Out
	fmt.Fprintf(w, "\n%s (engine %s, pid %d)\n\n", console.Paint(v.app.OutColor, console.Bold, head), st.Engine, st.Supervisor.PID)
	fmt.Fprintf(w, "  %-10s %s\n", "service", st.Endpoints["service"])
	v.app.printForwarded(st)
	fmt.Fprintf(w, "  %-10s %s\n", "toxiproxy", st.Endpoints["toxiproxy"])
	for _, d := range st.Dependencies {
		fmt.Fprintf(w, "  %-10s %-24s %s\n", d.Name, d.Proxy, d.Server)
	}
	fmt.Fprintf(w, "\nnext:\n")
	for _, line := range v.project.Try {
		fmt.Fprintf(w, "  %s\n", strings.ReplaceAll(line, "${service}", st.Endpoints["service"]))
	}
	me := self()
	if db := v.project.Database(); db != nil {
		fmt.Fprintf(w, "  %s chaos %s-latency 500ms\n", me, db.Name)
	}
	fmt.Fprintf(w, "  %s replay ls\n", me)
	if st.Supervisor.Detached {
		fmt.Fprintf(w, "  %s logs -f\n  %s down\n", me, me)
	}
	if me != "devtool" {
		fmt.Fprintf(w, "\nfor short: go install ./devtool puts devtool on your PATH\n")
	}
	if !st.Supervisor.Detached {
		fmt.Fprintf(w, "\nlogs follow; Ctrl-C takes everything down\n")
	}
	fmt.Fprintln(w)
}

// lineLock keeps events that come from several goroutines on lines of their own.
type lineLock struct {
	w  io.Writer
	mu sync.Mutex
}

func (l *lineLock) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
