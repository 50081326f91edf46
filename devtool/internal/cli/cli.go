// Package cli is the command line: one file a verb. Each command is a function
// of streams, options and what it needs; Main is the only place that knows them
// all.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"example.com/goldenpath/chaos"
	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/control"
	"example.com/goldenpath/devtool/internal/project"
)

// app is what commands share.
type app struct {
	*console.Streams
	dir string // -C: where to look for the project
	// began is set once a command runs; errors before that are wrong usage.
	began bool
}

// Main runs the command line and returns the exit code.
func Main(args []string, streams *console.Streams) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := &app{Streams: streams}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var known *console.Failure
	if err != nil && !a.began && !errors.As(err, &known) {
		err = usageFailure(root, err)
	}
	return console.Report(streams, err)
}

func usageFailure(root *cobra.Command, err error) error {
	text, hint, found := strings.Cut(err.Error(), "\n\n")
	hint = strings.TrimSpace(hint)
	if !found || hint == "" {
		hint = self() + " --help"
	} else { // cobra's "Did you mean this?" and an indented list
		hint = strings.Join(strings.Fields(strings.ReplaceAll(hint, "Did you mean this?", "did you mean")), " ") + "?"
	}
	return console.Fail(console.ExitUsage, hint, "%s", strings.ReplaceAll(text, ` for "`+root.Name()+`"`, ""))
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "devtool",
		Short: "A local stack with faults and replay for Go services",
		Long: "devtool brings up a service with its real dependencies behind fault proxies,\n" +
			"makes them fail on demand, and replays captured requests at your changed code.",
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRun:  func(*cobra.Command, []string) { a.began = true },
		RunE:              func(c *cobra.Command, _ []string) error { return c.Help() },
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
	}
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	root.SetIn(a.In)
	root.PersistentFlags().StringVarP(&a.dir, "directory", "C", ".", "run as if started in this `directory`")
	root.AddCommand(
		a.upCommand(), a.downCommand(), a.statusCommand(), a.logsCommand(), a.restartCommand(),
		a.resetCommand(), a.seedCommand(), a.envCommand(), a.doctorCommand(),
		a.chaosCommand(), a.replayCommand(), a.versionCommand(),
		a.proxyCommand(), a.parityCommand(),
		a.superviseCommand(), a.handOverCommand(),
	)
	return root
}

// project finds the project that the command is about.
func (a *app) project() (*project.Project, error) { return project.Find(a.dir) }

// client connects to the supervisor of the project.
func (a *app) client(p *project.Project) (*control.Client, error) {
	socket, err := p.Socket()
	if err != nil {
		return nil, err
	}
	return control.Dial(socket), nil
}

// withStack calls f with the supervisor of the project at hand. Where none runs
// it fails with exit code 3.
func (a *app) withStack(f func(p *project.Project, c *control.Client) error) error {
	p, err := a.project()
	if err != nil {
		return err
	}
	c, err := a.client(p)
	if err != nil {
		return err
	}
	defer c.Close()
	err = f(p, c)
	if errors.Is(err, control.ErrNoStack) {
		return console.Fail(console.ExitNoStack, self()+" up", "no stack is running for %s", p.Root)
	}
	return err
}

// json prints one document on standard output.
func (a *app) json(v any) error {
	enc := json.NewEncoder(a.Out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// self is what a person types to call this program: devtool where it is on the
// PATH, go run where that is how it was started.
func self() string {
	exe, err := os.Executable()
	if err != nil {
		return "devtool"
	}
	if strings.Contains(exe, string(filepath.Separator)+"go-build") {
		return "go run ./devtool"
	}
	if onPath, err := exec.LookPath("devtool"); err == nil {
		if a, err := filepath.EvalSymlinks(onPath); err == nil {
			if b, err := filepath.EvalSymlinks(exe); err == nil && a == b {
				return "devtool"
			}
		}
	}
	return "devtool"
}

// targets are the dependencies that faults can act on.
func targets(p *project.Project) []chaos.Target {
	var list []chaos.Target
	for _, d := range p.Dependencies {
		list = append(list, chaos.Target{Name: d.Name, Kind: d.Kind})
	}
	return list
}

// usage turns a chaos.UsageError into the contract's exit code 2.
func usage(err error) error {
	var bad *chaos.UsageError
	if errors.As(err, &bad) {
		return console.Fail(console.ExitUsage, bad.Hint, "%s", bad.What)
	}
	return err
}

// plural writes a count with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
