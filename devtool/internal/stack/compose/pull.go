package compose

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/goldenpath/devtool/internal/console"
)

const (
	// stallTimeout is how long a pull may show no progress. A registry that does
	// not answer is given up by Docker itself sooner.
	stallTimeout = time.Minute
	tellEvery    = 2 * time.Second
)

// pull fetches the images that are not on this machine, with words about it.
func (c *Compose) pull(ctx context.Context, file definition, old map[string]container) error {
	services, images, err := file.missing(ctx, old)
	if err != nil || len(services) == 0 {
		return err
	}
	what := strings.Join(images, ", ")
	c.cfg.Progress("pulling " + what + " (the first time only)")
	began := time.Now()
	moving := &pulling{layers: map[string]amount{}, changed: began}
	pulled, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	told := make(chan struct{})
	go func() {
		defer close(told)
		c.tellPull(pulled, moving, what, cancel)
	}()
	err = c.run(pulled, "pull", 0, moving, services...)
	cancel(nil)
	<-told
	if err == nil {
		c.cfg.Progress("pulled " + what + " in " + console.Seconds(time.Since(began)))
		return nil
	}
	if why := trouble(ctx, "pull "+what, err); why != nil {
		return why
	}
	if service := moving.culprit(err); service != "" {
		what = file.Services[service].Image
	}
	return &console.Failure{Exit: console.ExitFailed, Text: "pull " + what, Cause: err,
		Hint: "check the network, docker login and the image's name in " + c.cfg.File + "; or, without images, " + insteadHint}
}

var errStalled = errors.New("no progress")

// tellPull says how far it is, and ends a pull that does not move.
func (c *Compose) tellPull(ctx context.Context, moving *pulling, what string, end context.CancelCauseFunc) {
	tick := time.NewTicker(min(tellEvery, c.stall))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		far, quiet := moving.far()
		if quiet >= c.stall {
			end(fmt.Errorf("%w for %s", errStalled, console.Seconds(c.stall)))
			return
		}
		c.cfg.Progress("pulling " + what + ": " + far)
	}
}

// missing are the services whose images must be fetched, and the images.
func (d definition) missing(ctx context.Context, old map[string]container) (services, images []string, err error) {
	var asked []string
	for name, s := range d.Services {
		// What a container is made of is here; what is built is not fetched.
		if s.Image != "" && s.Build == nil && old[name].Config.Image != s.Image {
			asked = append(asked, name)
		}
	}
	slices.Sort(asked)
	absent := make([]bool, len(asked))
	group, ctx := errgroup.WithContext(ctx)
	for i, name := range asked {
		group.Go(func() error {
			_, err := docker(ctx, "image", "inspect", "--format", "{{.Id}}", d.Services[name].Image)
			if absent[i] = gone(err); absent[i] {
				return nil
			}
			return err
		})
	}
	err = group.Wait()
	for i, name := range asked {
		if absent[i] {
			services = append(services, name)
			if image := d.Services[name].Image; !slices.Contains(images, image) {
				images = append(images, image)
			}
		}
	}
	return services, images, err
}

// pulling reads what Compose prints while it pulls: a line for each change of a
// service (" postgres Pulling") or a layer (" 9f4d9c1a5e6b Downloading [=> ]
// 32.77kB/3.001MB").
type pulling struct {
	mu      sync.Mutex
	partial []byte
	layers  map[string]amount
	errors  [][2]string // service, words
	changed time.Time
}

type amount struct{ got, all float64 } // bytes

var (
	layerLine   = regexp.MustCompile(`^ *([0-9a-f]{12}) (\w+).*? ([0-9.]+)([kMGT]?B)/([0-9.]+)([kMGT]?B)`)
	fetchedLine = regexp.MustCompile(`^ *([0-9a-f]{12}) (?:Download complete|Pull complete|Already exists)`)
	errorLine   = regexp.MustCompile(`^ *(\S+) Error (.+)`)
)

// Write never fails.
func (p *pulling) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changed = time.Now()
	p.partial = append(p.partial, text...)
	for {
		line, rest, found := bytes.Cut(p.partial, []byte("\n"))
		if !found {
			return len(text), nil
		}
		p.read(string(line))
		p.partial = rest
	}
}

func (p *pulling) read(line string) {
	if m := layerLine.FindStringSubmatch(line); m != nil {
		if m[2] == "Downloading" {
			p.layers[m[1]] = amount{size(m[3], m[4]), size(m[5], m[6])}
		}
	} else if m := fetchedLine.FindStringSubmatch(line); m != nil {
		p.layers[m[1]] = amount{p.layers[m[1]].all, p.layers[m[1]].all}
	} else if m := errorLine.FindStringSubmatch(line); m != nil {
		p.errors = append(p.errors, [2]string{m[1], strings.TrimSpace(m[2])})
	}
}

func size(number, unit string) float64 {
	n, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0
	}
	return n * map[string]float64{"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}[unit]
}

// far says how much is here, and for how long nothing was heard.
func (p *pulling) far() (text string, quiet time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var sum amount
	for _, a := range p.layers {
		sum.got, sum.all = sum.got+a.got, sum.all+a.all
	}
	quiet = time.Since(p.changed)
	if sum.all == 0 {
		return "waiting for the registry", quiet
	}
	return fmt.Sprintf("%.1f of %.1f MB so far", sum.got/1e6, sum.all/1e6), quiet
}

// culprit is the service that the error is about: when one fails, Compose calls
// the others off, and those have errors too.
func (p *pulling) culprit(err error) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.errors {
		if strings.Contains(err.Error(), e[1]) {
			return e[0]
		}
	}
	return ""
}
