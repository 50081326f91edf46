package console

import (
	"fmt"
	"io"
	"sort"
	"strings"
	"sync"
	"time"
)

// Progress shows steps that run side by side: a line for each that ends, with
// how long it took, and while anything is under way a line that moves (on a
// terminal) or a reminder every few seconds (elsewhere).
type Progress struct {
	w        io.Writer
	terminal bool
	color    bool
	now      func() time.Time

	mu      sync.Mutex
	running map[string]*step
	drawn   bool
	stop    chan struct{}
	stopped chan struct{}
}

type step struct {
	began  time.Time
	note   string
	spoken time.Time
}

// reminder is how long a step may run in silence where there is no terminal.
const reminder = 5 * time.Second

// NewProgress starts a display on the streams' standard error. Close it.
func NewProgress(s *Streams) *Progress {
	p := &Progress{w: s.Err, terminal: s.Terminal, color: s.Color, now: time.Now,
		running: map[string]*step{}, stop: make(chan struct{}), stopped: make(chan struct{})}
	go p.animate()
	return p
}

// Begin says that a step has started.
func (p *Progress) Begin(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	p.running[name] = &step{began: now, spoken: now}
}

// Note says what a running step is at.
func (p *Progress) Note(name, note string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.running[name]; s != nil {
		s.note = note
	}
}

// End prints the line of a step that went well.
func (p *Progress) End(name, detail string, took time.Duration) {
	p.finish(name, fmt.Sprintf("%s %-10s %7s  %s", Paint(p.color, Green, "ok"), name, Seconds(took), detail))
}

// Fail prints the line of a step that did not; the reason follows as the
// command's error.
func (p *Progress) Fail(name string, took time.Duration) {
	p.finish(name, fmt.Sprintf("%s %-8s %7s", Paint(p.color, Red, "failed"), name, Seconds(took)))
}

// Say prints a line between the steps.
func (p *Progress) Say(text string) { p.finish("", text) }

func (p *Progress) finish(name, line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.running, name)
	p.erase()
	fmt.Fprintln(p.w, line)
}

// Close takes the moving line away. It may be called more than once.
func (p *Progress) Close() {
	p.mu.Lock()
	select {
	case <-p.stop:
	default:
		close(p.stop)
	}
	p.mu.Unlock()
	<-p.stopped
}

func (p *Progress) animate() {
	defer close(p.stopped)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.stop:
			p.mu.Lock()
			p.erase()
			p.mu.Unlock()
			return
		case <-tick.C:
			p.mu.Lock()
			p.draw()
			p.mu.Unlock()
		}
	}
}

func (p *Progress) erase() {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.drawn = false
	}
}

func (p *Progress) draw() {
	now := p.now()
	var parts []string
	for name, s := range p.running {
		took := now.Sub(s.began)
		text := name
		if s.note != "" {
			text += ": " + s.note
		}
		if !p.terminal {
			if now.Sub(s.spoken) >= reminder {
				s.spoken = now
				fmt.Fprintf(p.w, "   %s, %s so far\n", text, Seconds(took))
			}
			continue
		}
		if took > 300*time.Millisecond {
			parts = append(parts, fmt.Sprintf("%s %s", text, Seconds(took)))
		}
	}
	if len(parts) == 0 || !p.terminal {
		return
	}
	sort.Strings(parts)
	line := strings.Join(parts, ", ")
	if len(line) > 76 {
		line = line[:73] + "..."
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s", Paint(p.color, Dim, "   "+line))
	p.drawn = true
}

// Seconds writes a duration as people read it: 12 ms, 1.24 s, 2 min 5 s.
func Seconds(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return "0 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	d = d.Round(time.Second)
	return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
}
