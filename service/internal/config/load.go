package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/v2"

	"example.com/goldenpath/service/internal/suggest"
)

// EnvFileVariable names the .env file when it is not .env in the working
// directory. It is read from the environment alone.
const EnvFileVariable = "ENV_FILE"

// A .env file beyond this size is something else.
const maxEnvFile = 1 << 20

// Sources is where values come from.
type Sources struct {
	// Environ is the environment as os.Environ gives it.
	Environ []string
	// EnvFile is the .env file. When it is empty, ENV_FILE of Environ names
	// it, else it is .env in the working directory. Only that last one may be
	// absent.
	EnvFile string
	// Unused names the secrets that the process has no use for. In production
	// it need not be given them.
	Unused []string
}

// Load reads the configuration. When the report has problems, the Config must
// not be used.
func Load(s Sources) (Config, Report) {
	var report Report
	environ := given(s.Environ)
	file, named := s.EnvFile, true
	if file == "" {
		file = environ[EnvFileVariable]
	}
	if file == "" {
		file, named = ".env", false
	}
	lines := map[string]int{}
	fromFile := map[string]any{}
	for _, a := range readEnvFile(file, named, &report) {
		if first, twice := lines[a.name]; twice {
			report.warn(onLine(a.name, file, a.line), fmt.Sprintf("it stands on line %d already", first), "keep one of the two; the later counts")
		}
		lines[a.name] = a.line
		delete(fromFile, a.name)
		if a.value != "" {
			fromFile[a.name] = a.value
		}
	}

	all := variables()
	defaults := map[string]any{}
	for _, v := range all {
		defaults[v.Name] = v.Default
	}
	// Names of variables have no dots, so koanf's keys stay flat.
	k := koanf.New(".")
	for _, provider := range []koanf.Provider{
		confmap.Provider(defaults, ""),
		confmap.Provider(fromFile, ""),
		env.Provider("", env.Opt{
			EnvironFunc: func() []string { return s.Environ },
			TransformFunc: func(name, value string) (string, any) {
				if _, known := defaults[name]; !known || value == "" {
					return "", nil
				}
				return name, value
			},
		}),
	} {
		if err := k.Load(provider, nil); err != nil {
			report.add(Problem{Source: "configuration", Reason: err.Error()})
		}
	}

	origin := func(name string) Problem {
		switch {
		case environ[name] != "":
			return Problem{Variable: name, Source: "environment"}
		case fromFile[name] != nil:
			return onLine(name, file, lines[name])
		default:
			return Problem{Variable: name, Source: "default"}
		}
	}
	var c Config
	for _, v := range all {
		value, refused := v.parse(k.String(v.Name))
		if refused != nil {
			p := origin(v.Name)
			p.Reason, p.Hint = refused.reason, refused.hint
			report.add(p)
			continue
		}
		reflect.ValueOf(&c).Elem().Field(v.field).Set(value)
	}
	c.crossCheck(s.Unused, origin, &report)
	warnUnknown(file, all, lines, &report)
	return c, report
}

// onLine is a Problem, yet without reason, whose source is a line of a file.
func onLine(variable, file string, line int) Problem {
	return Problem{Variable: variable, File: file, Line: line, Source: fmt.Sprintf("%s:%d", file, line)}
}

// given is the environment as a map, without the variables that are empty.
func given(environ []string) map[string]string {
	m := map[string]string{}
	for _, e := range environ {
		if name, value, ok := strings.Cut(e, "="); ok && value != "" {
			m[name] = value
		}
	}
	return m
}

func readEnvFile(file string, named bool, report *Report) []assignment {
	text, err := readLimited(file)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return nil
	}
	if err != nil {
		report.add(Problem{File: file, Source: file, Reason: err.Error(), Hint: "name a file that can be read, or unset " + EnvFileVariable})
		return nil
	}
	found, flaws := parseDotenv(text)
	for _, f := range flaws {
		p := onLine("", file, f.line)
		p.Reason, p.Hint = f.reason, f.hint
		report.add(p)
	}
	return found
}

func readLimited(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxEnvFile+1))
	if err == nil && len(text) > maxEnvFile {
		err = fmt.Errorf("read %s: it is larger than 1 MiB", file)
	}
	return text, err
}

// crossCheck holds the rules between variables.
func (c *Config) crossCheck(unused []string, origin func(name string) Problem, report *Report) {
	refuse := func(name, reason, hint string) {
		if !report.names(name) {
			p := origin(name)
			p.Reason, p.Hint = reason, hint
			report.add(p)
		}
	}
	taken := map[string]string{}
	for _, l := range []struct{ name, addr string }{
		{"HTTP_ADDR", c.HTTPAddr}, {"ADMIN_ADDR", c.AdminAddr}, {"WORKER_ADMIN_ADDR", c.WorkerAdminAddr},
		{"SCHEDULER_ADMIN_ADDR", c.SchedulerAdminAddr},
	} {
		other, twice := taken[l.addr]
		if twice && l.addr != "" && !strings.HasSuffix(l.addr, ":0") {
			refuse(l.name, fmt.Sprintf("%s is the address of %s too", l.addr, other), "give each its own port")
		}
		taken[l.addr] = l.name
	}
	if c.Environment == "production" {
		for _, v := range variables() {
			field := reflect.ValueOf(c).Elem().Field(v.field)
			if v.secret && field.String() == v.Default && !slices.Contains(unused, v.Name) {
				refuse(v.Name, "has the default value, which is for development", "set "+v.Name+" in the environment")
			}
		}
	}
	if c.DatabaseTimeout >= c.HTTPTimeout && !report.names("DATABASE_TIMEOUT") && !report.names("HTTP_TIMEOUT") {
		report.warn(origin("DATABASE_TIMEOUT"),
			fmt.Sprintf("%s is not shorter than HTTP_TIMEOUT (%s), so a slow database shows as request_timeout", c.DatabaseTimeout, c.HTTPTimeout),
			"keep DATABASE_TIMEOUT below HTTP_TIMEOUT")
	}
}

// warnUnknown points at names in the .env file that look like one of ours. A
// file shared with other programs may hold what it likes.
func warnUnknown(file string, all []variable, lines map[string]int, report *Report) {
	known := []string{EnvFileVariable}
	group := map[string]int{}
	for _, v := range all {
		known = append(known, v.Name)
		prefix, _, _ := strings.Cut(v.Name, "_")
		group[prefix]++
	}
	for name, line := range lines {
		if name == EnvFileVariable {
			report.warn(onLine(name, file, line), "it is read from the environment alone", "export it, or pass --env-file")
		}
		if slices.Contains(known, name) {
			continue
		}
		if near, ok := suggest.Nearest(strings.ToUpper(name), known, 2); ok {
			report.warn(onLine(name, file, line), "no variable has that name", "did you mean "+near+"?")
			continue
		}
		// A prefix that two or more of our variables share marks a family.
		if prefix, _, _ := strings.Cut(name, "_"); group[prefix] > 1 {
			report.warn(onLine(name, file, line), "no variable has that name", "the service reads no such "+prefix+"_ variable; .env.example lists those it does")
		}
	}
	slices.SortFunc(report.Warnings, func(a, b Problem) int { return a.Line - b.Line })
}
