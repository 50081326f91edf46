package stack

import (
	"os"
	"sort"
	"strings"

	"github.com/knadh/koanf/parsers/dotenv"

	"example.com/goldenpath/devtool/internal/project"
)

// expand replaces ${name} by its value; what it does not know it leaves.
func expand(template string, values map[string]string) string {
	return os.Expand(template, func(name string) string {
		if v, ok := values[name]; ok {
			return v
		}
		return "${" + name + "}"
	})
}

// Environment is what processes are told of a stack with these endpoints (by
// dependency): where its proxies are, and where to write what they capture.
func Environment(p *project.Project, endpoints map[string]string) map[string]string {
	env := map[string]string{}
	for _, d := range p.Dependencies {
		for key, template := range d.Env {
			env[key] = expand(template, map[string]string{
				"addr": endpoints[d.Name], "database": d.Database, "user": d.User, "password": d.Password,
			})
		}
	}
	if p.Replay.Env != "" {
		env[p.Replay.Env] = p.Path(p.Replay.Captures)
	}
	return env
}

// processEnv is the environment of a process: what this process has; the
// project's defaults where neither it nor .env says otherwise; the endpoints and
// listeners of the stack, always.
func processEnv(p *project.Project, spec project.Process, fixed ...map[string]string) []string {
	env := map[string]string{}
	for _, kv := range os.Environ() {
		k, v, _ := strings.Cut(kv, "=")
		env[k] = v
	}
	said := dotEnv(p)
	for _, defaults := range []map[string]string{p.Env, spec.Env} {
		for k, v := range defaults {
			if _, ok := env[k]; !ok && !said[k] {
				env[k] = v
			}
		}
	}
	for _, m := range fixed {
		for k, v := range m {
			env[k] = v
		}
	}
	list := make([]string, 0, len(env))
	for k, v := range env {
		list = append(list, k+"="+v)
	}
	sort.Strings(list)
	return list
}

// DefaultEnv is the environment of a process where no stack runs.
func DefaultEnv(p *project.Project, spec project.Process) []string { return processEnv(p, spec) }

// dotEnv returns the variables that the project's .env sets. A file that cannot
// be read is the service's to complain of.
func dotEnv(p *project.Project) map[string]bool {
	set := map[string]bool{}
	data, err := os.ReadFile(p.Path(".env"))
	if err != nil {
		return set
	}
	values, err := dotenv.Parser().Unmarshal(data)
	if err != nil {
		return set
	}
	for k := range values {
		set[k] = true
	}
	return set
}
