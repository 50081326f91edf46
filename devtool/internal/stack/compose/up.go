package compose

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/process"
	"example.com/goldenpath/devtool/internal/stack/sticky"
)

const (
	// portTries bounds how often another port is tried for one that is taken.
	portTries = 10
	// upTries bounds how often a name that is taken is tried again.
	upTries = 3
	// upGrace is for an `up` that is called off: the engine goes on making a
	// container that nobody waits for any more, which would then be left. To let
	// it finish takes less than a second on most machines.
	upGrace = 5 * time.Second
)

// definition is the compose file as Compose understands it, variables filled in
// (https://docs.docker.com/reference/compose-file/).
type definition struct {
	Services map[string]struct {
		Image string
		Build json.RawMessage
		Ports []struct {
			HostIP    string `json:"host_ip"`
			Target    int
			Published string
		}
	}
}

// up starts the containers of services, and returns them. It does not wait
// until they are healthy: their servers are asked real questions, and one that
// is fast need not wait for one that is slow.
func (c *Compose) up(ctx context.Context, services ...string) (map[string]container, error) {
	if err := c.take(ctx); err != nil {
		return nil, err
	}
	defer c.release()
	began := time.Now()
	doing := "start " + strings.Join(services, ", ")
	old, err := c.containers(ctx)
	if err != nil {
		return nil, c.explain(ctx, doing, err)
	}
	// Held until Docker takes them over, so that nobody else does.
	held, err := c.choosePorts(services, old)
	defer func() { free(held) }()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	file, err := c.read(ctx, services)
	if err != nil {
		return nil, err
	}
	if err := c.pull(ctx, file, old); err != nil {
		return nil, c.explain(ctx, doing, err)
	}
	var taken []int
	conflicts := 0
	for {
		free(held)
		err = c.run(ctx, "up", upGrace, io.Discard, append([]string{"--detach"}, services...)...)
		if c.cut = err != nil; !c.cut {
			break
		}
		if strings.Contains(err.Error(), "is already in use by container") && conflicts < upTries {
			conflicts++ // made this moment for a supervisor that was killed; the next try finds it
			continue
		}
		service := c.takenPort(err)
		if service == "" || len(taken) == portTries {
			return nil, c.explainUp(ctx, doing, file, err)
		}
		taken = append(taken, c.ports[service])
		if held, err = c.choosePorts([]string{service}, nil, taken...); err != nil {
			return nil, fmt.Errorf("%s: %w", doing, err)
		}
	}
	boxes, err := c.containers(ctx)
	if err != nil {
		return nil, c.explain(ctx, doing, err)
	}
	same := true
	for _, service := range services {
		if boxes[service].ID == "" {
			return nil, console.Fail(console.ExitFailed, "let "+c.cfg.File+" scale it to 1, then devtool up", "%s: service %s has no container", doing, service)
		}
		same = same && old[service].State.Running && old[service].ID == boxes[service].ID
	}
	text := "containers of " + c.cfg.Project + " started"
	if same {
		text = "containers of " + c.cfg.Project + " found running"
	}
	c.cfg.Progress(fmt.Sprintf("%s: %s (%s)", text, strings.Join(services, ", "), console.Seconds(time.Since(began))))
	return boxes, nil
}

// choosePorts settles the ports that services are to publish: that of a
// container which runs, else the remembered one, else a free one. It returns
// listeners that keep them.
func (c *Compose) choosePorts(services []string, old map[string]container, taken ...int) (held []net.Listener, err error) {
	for _, service := range services {
		if box := old[service]; box.State.Running {
			_, port, err := net.SplitHostPort(box.addr())
			if n, bad := strconv.Atoi(port); err == nil && bad == nil {
				c.ports[service] = n
				continue
			}
		}
		l, moved, err := sticky.Open(c.cfg.Dir, service).Listen(taken...)
		if err != nil {
			return held, err
		}
		held = append(held, l)
		c.ports[service] = l.Addr().(*net.TCPAddr).Port
		if moved != 0 {
			c.cfg.Progress(sticky.Moved(service, moved, c.ports[service]))
		}
	}
	return held, nil
}

func free(held []net.Listener) {
	for _, l := range held {
		l.Close()
	}
}

// portVariable is what tells the compose file the port of a service.
func portVariable(service string) string {
	return strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(service)) + "_PORT"
}

// takenPort is the service whose port Docker could not have, if that is what err
// says. Docker has said it in several ways, always with the address.
func (c *Compose) takenPort(err error) string {
	if !portTaken(err) {
		return ""
	}
	for service, port := range c.ports {
		if namesPort(err, strconv.Itoa(port)) {
			return service
		}
	}
	return ""
}

func namesPort(err error, port string) bool {
	return regexp.MustCompile(`:` + regexp.QuoteMeta(port) + `(\D|$)`).MatchString(err.Error())
}

func portTaken(err error) bool {
	for _, sign := range []string{"port is already allocated", "address already in use", "Ports are not available", "failed to bind host port"} {
		if strings.Contains(err.Error(), sign) {
			return true
		}
	}
	return false
}

func (c *Compose) explainUp(ctx context.Context, doing string, file definition, err error) error {
	if !portTaken(err) || ctx.Err() != nil {
		return c.explain(ctx, doing, err)
	}
	hint := "docker ps shows what publishes it; or " + insteadHint
	for name, s := range file.Services {
		if len(s.Ports) == 1 && s.Ports[0].Published != strconv.Itoa(c.ports[name]) && namesPort(err, s.Ports[0].Published) {
			hint = fmt.Sprintf("another port can be chosen when %s says of %s: %s", c.cfg.File, name, portsLine(name, strconv.Itoa(s.Ports[0].Target)))
		}
	}
	return &console.Failure{Exit: console.ExitFailed, Text: doing, Cause: err, Hint: hint}
}

// portsLine is what the compose file is to say of a service.
func portsLine(service, target string) string {
	return fmt.Sprintf(`ports: ["127.0.0.1:${%s:-%s}:%s"]`, portVariable(service), target, target)
}

// read asks Compose for the file, and checks what it says of services.
func (c *Compose) read(ctx context.Context, services []string) (definition, error) {
	var file definition
	out, err := said(ctx, c.composeCommand(ctx, append([]string{"config", "--format", "json"}, services...)...))
	if err != nil {
		if why := trouble(ctx, "read "+c.cfg.File, err); why != nil {
			return file, why
		}
		return file, &console.Failure{Exit: console.ExitUsage, Text: c.cfg.File + " cannot be used", Cause: err,
			Hint: "docker compose -f " + c.cfg.File + " config shows the same; devtool.yaml, dependencies, names the services; or " + insteadHint}
	}
	if err := json.Unmarshal(out, &file); err != nil {
		return file, fmt.Errorf("read what docker compose config says: %w", err)
	}
	for _, service := range services {
		ports := file.Services[service].Ports
		var wrong string
		switch {
		case len(ports) == 0:
			wrong = "publishes no port"
		case len(ports) > 1:
			wrong = fmt.Sprintf("publishes %d ports", len(ports))
		case !loopback(ports[0].HostIP):
			wrong = "publishes its port to the network"
		default:
			continue
		}
		target := c.usualPort(service)
		if len(ports) > 0 {
			target = strconv.Itoa(ports[0].Target)
		}
		return file, console.Fail(console.ExitUsage,
			fmt.Sprintf("let %s say of %s: %s", c.cfg.File, service, portsLine(service, target)),
			"%s: service %s %s; it must publish one, on 127.0.0.1", c.cfg.File, service, wrong)
	}
	return file, nil
}

// usualPort is where a server listens when nobody says otherwise.
func (c *Compose) usualPort(service string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.servers {
		if s.spec.Service == service {
			return map[string]string{"postgres": "5432", "redis": "6379", "kafka": "9092"}[s.spec.Kind]
		}
	}
	return ""
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// composeArgs names the project and the file for `docker compose`.
func (c *Compose) composeArgs(args ...string) []string {
	return append([]string{"compose", "--project-name", c.cfg.Project, "--file", filepath.Join(c.cfg.Root, c.cfg.File)}, args...)
}

// composeEnvironment gives the file the ports.
func (c *Compose) composeEnvironment() []string {
	env := environment()
	for service, port := range c.ports {
		env = append(env, portVariable(service)+"="+strconv.Itoa(port))
	}
	return env
}

// composeCommand is a short call of `docker compose`.
func (c *Compose) composeCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := command(ctx, c.composeArgs(args...)...)
	cmd.Dir, cmd.Env = c.cfg.Root, c.composeEnvironment()
	return cmd
}

// run is a call of `docker compose` that may take long: it is on record. When
// ctx ends, so does the call, after grace, in which it may still succeed.
func (c *Compose) run(ctx context.Context, verb string, grace time.Duration, watch io.Writer, args ...string) error {
	path, err := exec.LookPath("docker")
	if err != nil {
		return err
	}
	var words bytes.Buffer
	p, err := process.Start(process.Spec{
		Name: "docker compose " + verb, Path: path, Args: c.composeArgs(append([]string{verb}, args...)...),
		Dir: c.cfg.Root, Env: c.composeEnvironment(), Output: io.MultiWriter(&words, watch), StopTimeout: 5 * time.Second,
	}, c.cfg.Registry)
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		select {
		case <-p.Done():
		case <-time.After(grace):
			_ = p.Stop(context.WithoutCancel(ctx)) // the cause says what matters
		}
	}
	switch err := p.Err(); {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	default:
		return &saidError{said: gist(words.String()), cause: err}
	}
}
