package app

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"example.com/goldenpath/service/internal/config"
)

const usage = `usage: %[1]s                                         run until SIGTERM
       %[1]s health                                  ask the one that runs whether it is ready
       %[1]s config example                          print .env.example
       %[1]s config check [--json] [--env-file F]    print what is wrong with the configuration
`

const migrateUsage = `       %[1]s migrate [--timeout 10m]                 bring the database's schema up to this build
`

// command runs what was asked for instead of the process.
func (p program) command(args, environ []string, stdio Stdio) int {
	switch {
	case args[0] == "health" && len(args) == 1:
		return p.health(environ, stdio)
	case args[0] == "migrate" && p.migrate != nil:
		return p.migrate(args[1:], environ, stdio)
	case args[0] == "config" && len(args) > 1 && args[1] == "check":
		return p.check(args[2:], environ, stdio)
	case args[0] == "config" && len(args) == 2 && args[1] == "example":
		if _, err := io.WriteString(stdio.Out, config.Example()); err != nil {
			return exitFailed
		}
		return exitOK
	}
	return wrongUsage(p.role, stdio, fmt.Sprintf("unknown command %q", strings.Join(args, " ")))
}

// check prints every problem: with --json as one array on standard output and
// nothing else there, else as text. Warnings always go to standard error, and
// do not make the answer a no.
func (p program) check(args, environ []string, stdio Stdio) int {
	flags := flag.NewFlagSet("config check", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	asJSON := flags.Bool("json", false, "")
	envFile := flags.String("env-file", "", "")
	if err := flags.Parse(args); err != nil {
		return wrongUsage(p.role, stdio, err.Error())
	}
	if flags.NArg() > 0 {
		return wrongUsage(p.role, stdio, fmt.Sprintf("config check takes no argument %q", flags.Arg(0)))
	}
	_, report := config.Load(config.Sources{Environ: environ, EnvFile: *envFile, Unused: p.unused})
	err := config.Report{Warnings: report.Warnings}.Text(stdio.Err)
	switch {
	case *asJSON:
		problems := report.Problems
		if problems == nil {
			problems = []config.Problem{}
		}
		encoder := json.NewEncoder(stdio.Out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		err = errors.Join(err, encoder.Encode(problems))
	case report.OK():
		_, werr := fmt.Fprintln(stdio.Out, "the configuration is valid")
		err = errors.Join(err, werr)
	default:
		err = errors.Join(err, config.Report{Problems: report.Problems}.Text(stdio.Out))
	}
	if err != nil || !report.OK() {
		return exitFailed
	}
	return exitOK
}

func wrongUsage(role Role, stdio Stdio, reason string) int {
	fmt.Fprintf(stdio.Err, "%s\n", reason)
	fmt.Fprintf(stdio.Err, usage, role)
	if role == RoleServer {
		fmt.Fprintf(stdio.Err, migrateUsage, role)
	}
	return exitUsage
}
