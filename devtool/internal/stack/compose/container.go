package compose

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// The labels by which Compose knows its containers.
const (
	projectLabel = "com.docker.compose.project"
	serviceLabel = "com.docker.compose.service"
	oneoffLabel  = "com.docker.compose.oneoff" // True for `docker compose run`
)

// container is what `docker inspect` tells, as far as it matters here
// (https://docs.docker.com/reference/api/engine/, ContainerInspect).
type container struct {
	ID    string `json:"Id"`
	Name  string
	State struct {
		Running   bool
		OOMKilled bool
		ExitCode  int
		// The engine notes the start when the first lines have been written.
		StartedAt  time.Time
		FinishedAt string // while it runs: of its life before
		Health     *struct{ Status string }
	}
	Config struct {
		Image  string
		Labels map[string]string
	}
	NetworkSettings struct {
		Ports map[string][]struct{ HostIP, HostPort string }
	}
}

func (c container) service() string { return c.Config.Labels[serviceLabel] }

func (c container) name() string { return strings.TrimPrefix(c.Name, "/") }

// health is "healthy", "unhealthy" or "starting", or empty where the image and
// the file have no check.
func (c container) health() string {
	if c.State.Health == nil {
		return ""
	}
	return c.State.Health.Status
}

// addr is the one address on this machine that the container can be reached at,
// or empty.
func (c container) addr() string {
	for _, bindings := range c.NetworkSettings.Ports {
		for _, b := range bindings {
			return net.JoinHostPort(b.HostIP, b.HostPort)
		}
	}
	return ""
}

// containers lists those of the project, by service, whatever state they are in.
func (c *Compose) containers(ctx context.Context) (map[string]container, error) {
	for {
		out, err := docker(ctx, "ps", "--all", "--quiet", "--no-trunc",
			"--filter", "label="+projectLabel+"="+c.cfg.Project, "--filter", "label="+oneoffLabel+"=False")
		if err != nil {
			return nil, err
		}
		ids := strings.Fields(string(out))
		if len(ids) == 0 {
			return nil, nil
		}
		boxes, err := inspect(ctx, ids...)
		if gone(err) {
			continue // removed between the two questions
		}
		if err != nil {
			return nil, err
		}
		found := map[string]container{}
		for _, box := range boxes {
			found[box.service()] = box
		}
		return found, nil
	}
}

func inspect(ctx context.Context, ids ...string) ([]container, error) {
	out, err := docker(ctx, append([]string{"inspect", "--type", "container"}, ids...)...)
	if err != nil {
		return nil, err
	}
	var boxes []container
	if err := json.Unmarshal(out, &boxes); err != nil {
		return nil, fmt.Errorf("read what docker inspect says: %w", err)
	}
	return boxes, nil
}

// gone says whether Docker knows no such container.
func gone(err error) bool {
	return err != nil && strings.Contains(err.Error(), "No such ")
}

// shownLines is how much of a log an error shows.
const shownLines = 20

// lastLines is the end of what a container said in its last life, indented.
func lastLines(ctx context.Context, box container) string {
	begun := box.State.StartedAt.Add(-time.Second).Format(time.RFC3339Nano)
	// The container's two streams in the order of their lines.
	out, err := command(ctx, "logs", "--since", begun, "--tail", strconv.Itoa(shownLines), box.ID).CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil || text == "" {
		return "  (its log is empty)"
	}
	return "  " + strings.ReplaceAll(text, "\n", "\n  ")
}
