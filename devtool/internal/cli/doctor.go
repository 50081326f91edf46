package cli

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/process"
	"example.com/goldenpath/devtool/internal/project"
	"example.com/goldenpath/devtool/internal/reload"
	"example.com/goldenpath/devtool/internal/stack"
	"example.com/goldenpath/devtool/internal/stack/embedded/binaries"
)

// finding is what doctor says of one thing.
type finding struct {
	Name   string `json:"name"`
	State  string `json:"state"` // ok, note (works, but know it), bad (up will fail)
	Detail string `json:"detail"`
	Mend   string `json:"mend,omitempty"` // the command that mends it
}

const (
	ok   = "ok"
	note = "note"
	bad  = "bad"
)

func (a *app) doctorCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "What this machine has and lacks, with the command that mends it",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return a.doctor(c.Context(), asJSON) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *app) doctor(ctx context.Context, asJSON bool) error {
	p, err := a.project()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	list := []finding{checkGo(ctx), checkAir(ctx, p), checkState(p), checkDisk(p), checkWatch(p)}
	list = append(list, checkEngine(ctx, p)...)
	list = append(list, checkPorts(p)...)
	failed := 0
	for _, f := range list {
		if f.State == bad {
			failed++
		}
	}
	if asJSON {
		if err := a.json(map[string]any{"ok": failed == 0, "findings": list}); err != nil {
			return err
		}
	} else {
		style := map[string]console.Style{ok: console.Green, note: console.Yellow, bad: console.Red}
		for _, f := range list {
			fmt.Fprintf(a.Out, "%s %-10s %s\n", console.Paint(a.OutColor, style[f.State], fmt.Sprintf("%-4s", f.State)), f.Name, f.Detail)
			if f.Mend != "" {
				fmt.Fprintf(a.Out, "                mend: %s\n", f.Mend)
			}
		}
	}
	if failed > 0 {
		return console.Fail(console.ExitNo, "the lines that say mend", "%s in the way of up", plural(failed, "thing")+" stand"+when(failed == 1, "s"))
	}
	return nil
}

func checkGo(ctx context.Context) finding {
	out, err := exec.CommandContext(ctx, "go", "env", "GOVERSION").Output()
	if err != nil {
		return finding{"go", bad, "there is no go command on the PATH", "https://go.dev/dl"}
	}
	return finding{"go", ok, strings.TrimSpace(string(out)) + " on " + runtime.GOOS + "/" + runtime.GOARCH, ""}
}

func checkAir(ctx context.Context, p *project.Project) finding {
	cmd := exec.CommandContext(ctx, "go", "list", "-f", "{{.Module.Version}}", "github.com/air-verse/air")
	cmd.Dir = p.Root
	out, err := cmd.Output()
	if err != nil {
		return finding{"air", note, "not among the module's tools, so nothing reloads", "go get -tool github.com/air-verse/air@v1.67.4"}
	}
	return finding{"air", ok, strings.TrimSpace(string(out)) + ", watches and builds", ""}
}

func checkPostgres(ctx context.Context) finding {
	set, found, err := binaries.Find(ctx, binaries.SystemPlaces(os.Getenv))
	switch {
	case err != nil:
		return finding{"postgres", bad, err.Error(), "unset PGBIN"}
	case !found:
		return finding{"postgres", note, "none found; up fetches one into the cache", "apt-get install postgresql, or brew install postgresql"}
	}
	return finding{"postgres", ok, set.Version + " in " + set.Dir, ""}
}

func checkRedis(ctx context.Context) finding {
	out, err := exec.CommandContext(ctx, "redis-server", "--version").Output()
	if err != nil {
		return finding{"redis", note, "no redis-server; miniredis stands in", "apt-get install redis-server, or brew install redis"}
	}
	fields := strings.Fields(string(out))
	for _, f := range fields {
		if v, found := strings.CutPrefix(f, "v="); found {
			return finding{"redis", ok, "redis-server " + v, ""}
		}
	}
	return finding{"redis", ok, strings.TrimSpace(string(out)), ""}
}

func checkKafka() finding { return finding{"kafka", ok, "kfake, inside the supervisor", ""} }

// checkEngine says what `up` would use, why, and what that needs.
func checkEngine(ctx context.Context, p *project.Project) []finding {
	choice, err := stack.Choose(ctx, p, "auto")
	if err != nil {
		return []finding{{"engine", bad, err.Error(), console.HintOf(err)}}
	}
	list := []finding{{"engine", ok, choice.Engine + ": " + choice.Why, ""}}
	if choice.Engine == "embedded" {
		list = append(list, checkPostgres(ctx), checkRedis(ctx), checkKafka())
	}
	return list
}

func checkState(p *project.Project) finding {
	dir, err := p.StateDir()
	if err == nil {
		probe := filepath.Join(dir, "probe")
		if err = os.WriteFile(probe, nil, 0o600); err == nil {
			err = os.Remove(probe)
		}
	}
	if err != nil {
		return finding{"state", bad, err.Error(), "DEVTOOL_STATE_HOME=DIR devtool up"}
	}
	running := "no stack is running"
	if pid := stack.Holder(dir); pid != 0 {
		running = "a stack is running, pid " + strconv.Itoa(pid)
	}
	return finding{"state", ok, dir + "; " + running, ""}
}

// lowDisk is where PostgreSQL and the Go build cache begin to get into trouble.
const lowDisk = 1 << 30

func checkDisk(p *project.Project) finding {
	dir, err := p.StateDir()
	if err != nil {
		return finding{"disk", bad, err.Error(), ""}
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return finding{"disk", note, err.Error(), ""}
	}
	free := uint64(fs.Bavail) * uint64(fs.Bsize) //nolint:unconvert // the types differ between systems
	detail := fmt.Sprintf("%.1f GB free at %s", float64(free)/1e9, dir)
	if free < lowDisk {
		return finding{"disk", bad, detail, "go clean -cache, or DEVTOOL_STATE_HOME=DIR on another disk"}
	}
	return finding{"disk", ok, detail, ""}
}

func checkWatch(p *project.Project) finding {
	if poll, why := reload.NeedsPolling(p.Root); poll {
		return finding{"watch", note, "files are polled, which is slower: " + why, ""}
	}
	return finding{"watch", ok, "file changes are noticed at once", ""}
}

// checkPorts looks at the ports that up wants. One that is taken is no harm:
// up takes the next free one.
func checkPorts(p *project.Project) []finding {
	dir, err := p.StateDir()
	if err != nil || stack.Holder(dir) != 0 {
		return nil // they are our own
	}
	wanted := []struct {
		name string
		port int
	}{{"gateway", p.Gateway.Port}, {"toxiproxy", p.Toxiproxy.Port}}
	for _, d := range p.Dependencies {
		wanted = append(wanted, struct {
			name string
			port int
		}{d.Name, d.Port})
	}
	var list []finding
	for _, w := range wanted {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(w.port)))
		if err == nil {
			l.Close()
			continue
		}
		holder := process.Holder(w.port)
		if holder == "" {
			holder = "somebody"
		}
		list = append(list, finding{"port", note, fmt.Sprintf("%d, for %s, is taken by %s; up takes the next free one", w.port, w.name, holder), ""})
	}
	return list
}
