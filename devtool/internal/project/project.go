// Package project reads devtool.yaml, the description of a stack: which
// dependencies it has, which processes run against them, how they are migrated,
// seeded and replayed at. devtool knows no service but what stands there.
package project

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"example.com/goldenpath/devtool/internal/console"
)

// File is the name of the description, looked for in the working directory and
// every directory above it.
const File = "devtool.yaml"

// Project is a stack as devtool.yaml describes it.
type Project struct {
	Root string `yaml:"-"` // absolute, symbolic links resolved

	Version      int               `yaml:"version"`
	Name         string            `yaml:"name"`
	Gateway      Gateway           `yaml:"gateway"`
	Toxiproxy    Port              `yaml:"toxiproxy"`
	Dependencies []Dependency      `yaml:"dependencies"`
	Processes    []Process         `yaml:"processes"`
	Env          map[string]string `yaml:"env"` // defaults for every process; .env and the environment win
	Migrations   string            `yaml:"migrations"`
	Seeds        Seeds             `yaml:"seeds"`
	Replay       Replay            `yaml:"replay"`
	Config       Config            `yaml:"config"`
	Compose      string            `yaml:"compose"` // the file with the servers, for the engines compose and attached
	Reload       Reload            `yaml:"reload"`
	Try          []string          `yaml:"try"` // commands that up suggests; ${service} is the gateway's URL
}

// Port is something that listens.
type Port struct {
	Port int `yaml:"port"` // wanted; when taken, the next free one
}

// Gateway is the front door: which process it leads to.
type Gateway struct {
	Port    int    `yaml:"port"`
	Process string `yaml:"process"`
	Listen  string `yaml:"listen"` // which of the process's listeners
}

// Dependency is a server that the processes use, always through its proxy.
type Dependency struct {
	Name     string            `yaml:"name"`
	Kind     string            `yaml:"kind"`    // postgres, redis or kafka
	Port     int               `yaml:"port"`    // of the proxy
	Service  string            `yaml:"service"` // its name in the compose file, default its kind
	Database string            `yaml:"database"`
	User     string            `yaml:"user"`
	Password string            `yaml:"password"`
	Topics   []string          `yaml:"topics"`
	Env      map[string]string `yaml:"env"` // what processes are told; ${addr} is the proxy
}

// Process is a Go program of the project.
type Process struct {
	Name        string            `yaml:"name"`
	Package     string            `yaml:"package"` // what go build is given
	Args        []string          `yaml:"args"`
	Listen      map[string]string `yaml:"listen"` // listener name: environment variable that takes host:port
	Ready       Ready             `yaml:"ready"`
	Env         map[string]string `yaml:"env"`
	StopTimeout time.Duration     `yaml:"stop_timeout"` // how long it may finish its work, default 15s
}

// Ready says how to ask a process whether it can work: GET path answers 200.
type Ready struct {
	Listen string `yaml:"listen"`
	Path   string `yaml:"path"`
}

// Seeds says where data sets live and which one up and reset use.
type Seeds struct {
	Dir     string `yaml:"dir"`
	Profile string `yaml:"profile"`
}

// Replay says where the service writes what it captured.
type Replay struct {
	Captures string `yaml:"captures"` // default .devtool/captures
	Env      string `yaml:"env"`      // the variable that tells the service
}

// Config says how to ask a process about its configuration.
type Config struct {
	Process string   `yaml:"process"`
	Check   []string `yaml:"check"`   // arguments; prints problems as a JSON array
	Example []string `yaml:"example"` // arguments; prints .env.example
}

// Reload says what the watcher looks at.
type Reload struct {
	Exclude []string `yaml:"exclude"` // directories, besides the usual
	Poll    bool     `yaml:"poll"`
	Flags   []string `yaml:"build_flags"`
}

// Find reads the project that dir lies in.
func Find(dir string) (*Project, error) {
	start, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	for d := start; ; d = filepath.Dir(d) {
		_, err := os.Stat(filepath.Join(d, File))
		if err == nil {
			return Load(d)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("look for %s: %w", File, err)
		}
		if d == filepath.Dir(d) {
			return nil, console.Fail(console.ExitUsage, "cd into the project, or write one (docs/devtool-yaml.md)",
				"there is no %s in %s or above it", File, start)
		}
	}
}

// Load reads the project whose description lies in root.
func Load(root string) (*Project, error) {
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", File, err)
	}
	data, err := os.ReadFile(filepath.Join(root, File))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", File, err)
	}
	p := &Project{Root: root}
	if err := p.decode(data); err != nil {
		return nil, console.Fail(console.ExitUsage, "docs/devtool-yaml.md lists every field",
			"%s is not understood:\n%s", File, strings.TrimSpace(yaml.FormatError(err, false, true)))
	}
	p.fill()
	if bad := p.problems(); len(bad) > 0 {
		return nil, console.Fail(console.ExitUsage, "docs/devtool-yaml.md lists every field",
			"%s is not valid:\n  %s", File, strings.Join(bad, "\n  "))
	}
	return p, nil
}

func (p *Project) decode(data []byte) (err error) {
	// The YAML library panics on some malformed input, such as a tag alone in the
	// place of a list.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("this is not YAML that can be read: %v", r)
		}
	}()
	return yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(p)
}

// fill puts defaults where nothing was said.
func (p *Project) fill() {
	set := func(v *string, d string) {
		if *v == "" {
			*v = d
		}
	}
	port := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&p.Name, filepath.Base(p.Root))
	port(&p.Gateway.Port, 8080)
	port(&p.Toxiproxy.Port, 8474)
	set(&p.Gateway.Listen, "http")
	set(&p.Replay.Captures, ".devtool/captures")
	set(&p.Seeds.Profile, "dev")
	set(&p.Compose, "compose.yaml")
	if p.Gateway.Process == "" && len(p.Processes) > 0 {
		p.Gateway.Process = p.Processes[0].Name
	}
	set(&p.Config.Process, p.Gateway.Process)
	for i := range p.Dependencies {
		d := &p.Dependencies[i]
		port(&d.Port, map[string]int{"postgres": 15432, "redis": 16379, "kafka": 19092}[d.Kind])
		set(&d.Service, d.Kind)
		if d.Kind == "postgres" {
			set(&d.Database, p.Name)
			set(&d.User, p.Name)
			set(&d.Password, p.Name)
		}
	}
	for i := range p.Processes {
		if p.Processes[i].StopTimeout == 0 {
			p.Processes[i].StopTimeout = 15 * time.Second
		}
	}
}

// Path makes a path of the description absolute.
func (p *Project) Path(rel string) string {
	if filepath.IsAbs(rel) {
		return rel
	}
	return filepath.Join(p.Root, rel)
}

// Process returns the process of that name, or nil.
func (p *Project) Process(name string) *Process {
	for i := range p.Processes {
		if p.Processes[i].Name == name {
			return &p.Processes[i]
		}
	}
	return nil
}

// Database returns the first PostgreSQL dependency, or nil.
func (p *Project) Database() *Dependency {
	for i := range p.Dependencies {
		if p.Dependencies[i].Kind == "postgres" {
			return &p.Dependencies[i]
		}
	}
	return nil
}
