package stack

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/project"
	"example.com/goldenpath/devtool/internal/stack/attached"
	"example.com/goldenpath/devtool/internal/stack/compose"
	"example.com/goldenpath/devtool/internal/stack/embedded"
)

// Engines are the names that --engine takes.
var Engines = []string{"auto", "embedded", "compose", "attached"}

// engineVariable is the default of --engine. The dev container sets it, since
// nothing else tells it for sure from any other container.
const engineVariable = "DEVTOOL_ENGINE"

// Choice is an engine and the reason for it.
type Choice struct{ Engine, Why string }

// Choose decides which engine to use: what was asked for; else what the
// environment says; else compose where a Docker engine answers and the project
// has a compose file; else embedded.
func Choose(ctx context.Context, p *project.Project, asked string) (Choice, error) {
	why := "as asked"
	if asked == "" || asked == "auto" {
		asked, why = os.Getenv(engineVariable), engineVariable+" says so"
	}
	switch asked {
	case "embedded", "compose", "attached":
		return Choice{asked, why}, nil
	case "", "auto":
		return automatic(ctx, p), nil
	}
	return Choice{}, console.Fail(console.ExitUsage, "devtool up --engine embedded",
		"there is no engine %q, only %s", asked, strings.Join(Engines, ", "))
}

func automatic(ctx context.Context, p *project.Project) Choice {
	if _, err := os.Stat(p.Path(p.Compose)); err != nil {
		return Choice{"embedded", "servers on this machine; the project has no " + p.Compose}
	}
	version, err := compose.Answers(ctx)
	if err != nil {
		reason, _, _ := strings.Cut(err.Error(), "\n")
		return Choice{"embedded", "servers on this machine, no Docker needed (" + reason + ")"}
	}
	return Choice{"compose", "Docker " + version + " answers; --engine embedded needs none"}
}

// newEngine makes the engine of that name.
func (s *Stack) newEngine(name string) (Engine, error) {
	progress := func(text string) { s.say("%s", text) }
	dir := filepath.Join(s.stateDir, "data")
	switch name {
	case "attached":
		return attachedEngine{}, nil
	case "compose":
		dir = composeDir(s.stateDir)
	}
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, fmt.Errorf("make the engine's directory: %w", err)
	}
	if name == "compose" {
		return composeEngine{composeOf(s.project, s.stateDir,
			compose.Config{Registry: s.registry, Output: s.logs.Writer, Progress: progress})}, nil
	}
	return embeddedEngine{embedded.Config{Dir: dir, Registry: s.registry, Output: s.logs.Writer, Progress: progress}}, nil
}

type embeddedEngine struct{ config embedded.Config }

func (embeddedEngine) Name() string { return "embedded" }

func (embeddedEngine) Keeps() bool { return false }

func (e embeddedEngine) Discard(context.Context) error {
	err := os.RemoveAll(e.config.Dir)
	if err == nil {
		err = os.MkdirAll(e.config.Dir, 0o711)
	}
	if err != nil {
		return fmt.Errorf("throw the data away: %w", err)
	}
	return nil
}

func (e embeddedEngine) Server(d project.Dependency) (Server, error) {
	switch d.Kind {
	case "postgres":
		return embedded.NewPostgres(e.config, embedded.PostgresOptions{
			Name: d.Name, Database: d.Database, User: d.User, Password: d.Password}), nil
	case "redis":
		return embedded.NewRedis(e.config, embedded.RedisOptions{Name: d.Name}), nil
	case "kafka":
		return embedded.NewKafka(e.config, embedded.KafkaOptions{Name: d.Name, Topics: d.Topics}), nil
	}
	return nil, fmt.Errorf("dependency %s: the embedded engine has no %q", d.Name, d.Kind)
}

// attachedEngine is for the dev container: its neighbours are the servers.
type attachedEngine struct{}

func (attachedEngine) Name() string { return "attached" }

func (attachedEngine) Keeps() bool { return true }

func (attachedEngine) Discard(context.Context) error { return nil }

func (attachedEngine) Server(d project.Dependency) (Server, error) {
	at := func(port string) string { return net.JoinHostPort(d.Service, port) }
	switch d.Kind {
	case "postgres":
		return attached.NewPostgres(attached.PostgresOptions{
			Name: d.Name, Addr: at("5432"), Database: d.Database, User: d.User, Password: d.Password}), nil
	case "redis":
		return attached.NewRedis(attached.RedisOptions{Name: d.Name, Addr: at("6379")}), nil
	case "kafka":
		return attached.NewKafka(attached.KafkaOptions{Name: d.Name, Addr: at("9092"), Topics: d.Topics}), nil
	}
	return nil, fmt.Errorf("dependency %s: the attached engine has no %q", d.Name, d.Kind)
}

type composeEngine struct{ *compose.Compose }

func (composeEngine) Name() string { return "compose" }

func (composeEngine) Keeps() bool { return false }

func (e composeEngine) Discard(ctx context.Context) error { return e.Down(ctx, true) }

func (e composeEngine) Server(d project.Dependency) (Server, error) {
	switch d.Kind {
	case "postgres":
		return e.Postgres(d), nil
	case "redis":
		return e.Redis(d), nil
	case "kafka":
		return e.Kafka(d), nil
	}
	return nil, fmt.Errorf("dependency %s: the compose engine has no %q", d.Name, d.Kind)
}

// composeOf completes the configuration with what the worktree decides.
func composeOf(p *project.Project, stateDir string, c compose.Config) *compose.Compose {
	c.Root, c.File, c.Dir = p.Root, p.Compose, composeDir(stateDir)
	c.Project = strings.TrimLeft(strings.ToLower(p.Key()), "-_") // it must begin with a letter or digit
	return compose.New(c)
}

// composeDir is there once the compose engine was used.
func composeDir(stateDir string) string { return filepath.Join(stateDir, "compose") }

// trace remembers in the state directory which engine was used last, for whoever
// cleans up, and whether it has been taken down since.
type trace struct {
	engine string
	down   bool
}

func tracePath(stateDir string) string { return filepath.Join(stateDir, "engine") }

func readTrace(stateDir string) trace {
	data, err := os.ReadFile(tracePath(stateDir))
	if err != nil {
		return trace{down: true} // nothing was used
	}
	engine, rest, _ := strings.Cut(strings.TrimSpace(string(data)), " ")
	return trace{engine, rest == "down"}
}

func (t trace) write(stateDir string) error {
	text := t.engine
	if t.down {
		text += " down"
	}
	if err := os.WriteFile(tracePath(stateDir), []byte(text+"\n"), 0o600); err != nil {
		return fmt.Errorf("remember the engine: %w", err)
	}
	return nil
}

// laterPath is there when the next up is to begin with new data, which the
// attached engine can only make in place.
func laterPath(stateDir string) string { return filepath.Join(stateDir, "discard") }

// CleanUp ends what a supervisor that crashed left of its engine, and with
// volumes throws the data away. No supervisor runs.
func CleanUp(ctx context.Context, p *project.Project, stateDir string, volumes bool) error {
	last := readTrace(stateDir)
	_, err := os.Stat(composeDir(stateDir))
	usedCompose := err == nil // since the last time that all was thrown away
	if last.engine == "compose" && !last.down || volumes && usedCompose {
		if err := composeOf(p, stateDir, compose.Config{}).Down(ctx, volumes); err != nil {
			return err
		}
		last.down = true
		if err := last.write(stateDir); err != nil {
			return err
		}
	}
	if !volumes {
		return nil
	}
	if err := os.RemoveAll(composeDir(stateDir)); err != nil {
		return fmt.Errorf("throw the data away: %w", err)
	}
	if last.engine == "attached" {
		if err := os.WriteFile(laterPath(stateDir), nil, 0o600); err != nil {
			return fmt.Errorf("ask the next up for new data: %w", err)
		}
	}
	return embeddedEngine{embedded.Config{Dir: filepath.Join(stateDir, "data")}}.Discard(ctx)
}
