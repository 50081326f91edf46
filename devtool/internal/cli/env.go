package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/control"
	"example.com/goldenpath/devtool/internal/project"
	"example.com/goldenpath/devtool/internal/reload"
	"example.com/goldenpath/devtool/internal/stack"
)

func (a *app) envCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "env",
		Short: "The service's environment: check it, make it, print it",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	var asJSON bool
	check := &cobra.Command{
		Use: "check", Short: "Name every variable that is not valid, with file, line, reason and hint", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.envCheck(c.Context(), asJSON) },
	}
	check.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	var write bool
	example := &cobra.Command{
		Use: "example", Short: "Print .env.example, generated from the service's configuration", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.envExample(c.Context(), write) },
	}
	example.Flags().BoolVarP(&write, "write", "w", false, "write the file instead")
	var printJSON bool
	print := &cobra.Command{
		Use: "print", Short: "Print the endpoints of the running stack as KEY=value", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.envPrint(c.Context(), printJSON) },
	}
	print.Flags().BoolVar(&printJSON, "json", false, "print JSON")
	c.AddCommand(check, example, print, &cobra.Command{
		Use: "init", Short: "Make .env from the example, unless there is one", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.envInit(c.Context()) },
	})
	return c
}

// EnvProblem is one variable that is not valid, as the service reports it.
type EnvProblem struct {
	Variable string `json:"variable"`
	File     string `json:"file,omitempty"`
	Line     int    `json:"line,omitempty"`
	Source   string `json:"source"`
	Reason   string `json:"reason"`
	Hint     string `json:"hint"`
}

func (a *app) envCheck(ctx context.Context, asJSON bool) error {
	p, err := a.project()
	if err != nil {
		return err
	}
	out, exit, err := a.askConfig(ctx, p, p.Config.Check)
	if err != nil {
		return err
	}
	var problems []EnvProblem
	if err := json.Unmarshal(out, &problems); err != nil {
		return console.Fail(console.ExitFailed, "config.check in "+project.File+" must print a JSON array",
			"%s %v answered what is no list of problems (exit %d): %v", p.Config.Process, p.Config.Check, exit, err)
	}
	if asJSON {
		if problems == nil {
			problems = []EnvProblem{}
		}
		if err := a.json(problems); err != nil {
			return err
		}
	}
	if len(problems) == 0 {
		if !asJSON {
			a.Saying("the environment is valid")
		}
		return nil
	}
	if !asJSON {
		for _, q := range problems {
			fmt.Fprintf(a.Out, "%s: %s (%s)\n  hint: %s\n", q.Variable, q.Reason, q.Source, q.Hint)
		}
	}
	return console.Fail(console.ExitNo, "mend them in .env or the environment, then "+self()+" env check",
		"%s of the environment not valid", plural(len(problems), "variable"))
}

// askConfig builds the process that knows the configuration and runs it with
// args. It returns what it printed and its exit code.
func (a *app) askConfig(ctx context.Context, p *project.Project, args []string) ([]byte, int, error) {
	target := p.Process(p.Config.Process)
	if target == nil || len(args) == 0 {
		return nil, 0, console.Fail(console.ExitUsage, "docs/devtool-yaml.md, config", "%s does not say how to ask about the configuration", project.File)
	}
	dir, err := p.StateDir()
	if err != nil {
		return nil, 0, err
	}
	builder := &reload.Builder{Root: p.Root, OutDir: filepath.Join(dir, "config"), Flags: p.Reload.Flags}
	built, err := builder.Build(ctx, reload.Target{Process: target.Name, Package: target.Package})
	if err != nil {
		var compiler *reload.BuildError
		if errors.As(err, &compiler) {
			return nil, 0, console.Fail(console.ExitFailed, "mend it first", "%s does not compile:\n%s", target.Name, compiler.Output)
		}
		return nil, 0, err
	}
	cmd := exec.CommandContext(ctx, built[0].Binary, args...)
	cmd.Dir = p.Root
	cmd.Env = stack.DefaultEnv(p, *target)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, a.Err
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, 0, fmt.Errorf("ask %s about its configuration: %w", target.Name, err)
	}
	return out.Bytes(), cmd.ProcessState.ExitCode(), nil
}

func (a *app) example(ctx context.Context) (*project.Project, []byte, error) {
	p, err := a.project()
	if err != nil {
		return nil, nil, err
	}
	out, exit, err := a.askConfig(ctx, p, p.Config.Example)
	if err == nil && exit != 0 {
		err = fmt.Errorf("ask %s for its example: exit code %d", p.Config.Process, exit)
	}
	return p, out, err
}

func (a *app) envExample(ctx context.Context, write bool) error {
	p, out, err := a.example(ctx)
	if err != nil {
		return err
	}
	if !write {
		_, err = a.Out.Write(out)
		return err
	}
	if err := os.WriteFile(p.Path(".env.example"), out, 0o644); err != nil {
		return err
	}
	a.Saying("wrote %s", p.Path(".env.example"))
	return nil
}

func (a *app) envInit(ctx context.Context) error {
	p, err := a.project()
	if err != nil {
		return err
	}
	path := p.Path(".env")
	if _, err := os.Stat(path); err == nil {
		a.Saying("%s is there already; nothing changed", path)
		return nil
	}
	_, out, err := a.example(ctx)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(out)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	a.Saying("wrote %s", path)
	return nil
}

func (a *app) envPrint(ctx context.Context, asJSON bool) error {
	return a.withStack(func(p *project.Project, c *control.Client) error {
		st, err := c.Status(ctx)
		if err != nil {
			return err
		}
		env := stack.Environment(p, st.Endpoints)
		if asJSON {
			return a.json(env)
		}
		for _, k := range sortedKeys(env) {
			fmt.Fprintf(a.Out, "%s=%s\n", k, env[k])
		}
		return nil
	})
}
