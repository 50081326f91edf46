package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"

	"example.com/goldenpath/service/internal/observability"
)

// flushTimeout is what spans, captures and pools get to finish, once the work
// in flight is done.
const flushTimeout = 3 * time.Second

// Process is a server, a worker or a scheduler that is put together and listens,
// and does nothing yet.
type Process struct {
	// HTTPAddr is where the public port listens, empty for all but a server.
	HTTPAddr string
	// AdminAddr is where the admin port listens.
	AdminAddr string

	log             *zap.Logger
	health          *observability.Health
	shutdownTimeout time.Duration

	public, admin *door
	// work is what a worker or a scheduler does until its context ends; nil for a
	// server.
	work func(ctx context.Context) error
	// closers are run in the reverse of this order.
	closers []closer
}

// closer ends one part of the process, by the end of its context.
type closer struct {
	name  string
	close func(ctx context.Context) error
}

// run closes the part. One that outlives ctx is left behind; every part gets a
// moment even when those before it have used the time up.
func (c closer) run(ctx context.Context) (err error) {
	done := make(chan error, 1)
	go func() { done <- c.close(ctx) }()
	select {
	case err = <-done:
	case <-ctx.Done():
		moment := time.NewTimer(100 * time.Millisecond)
		defer moment.Stop()
		select {
		case err = <-done:
		case <-moment.C:
			err = ctx.Err()
		}
	}
	if err != nil {
		return fmt.Errorf("close %s: %w", c.name, err)
	}
	return nil
}

// atEnd registers what must be closed when the process ends.
func (p *Process) atEnd(name string, close func(ctx context.Context) error) {
	p.closers = append(p.closers, closer{name, close})
}

// door is an HTTP server with its open port.
type door struct {
	server   *http.Server
	listener net.Listener
	cut      context.CancelFunc // ends the contexts of all its requests
}

// Run works until ctx ends or a part fails, then ends gracefully: /readyz says
// draining, the public port closes, what is in flight goes on for at most the
// shutdown timeout, and spans, captures and pools are closed. It returns nil
// after a clean end. It is called once, instead of Close.
func (p *Process) Run(ctx context.Context) error {
	fields := []zap.Field{zap.String("admin", p.AdminAddr)}
	if p.public != nil {
		fields = append([]zap.Field{zap.String("http", p.HTTPAddr)}, fields...)
	}
	p.log.Info("listening", fields...)

	workCtx, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	failed := make(chan error, 3)
	worked := make(chan struct{})
	go serve("admin", p.admin, failed)
	if p.public != nil {
		go serve("http", p.public, failed)
	}
	go func() {
		defer close(worked)
		if p.work == nil {
			return
		}
		if err := p.work(workCtx); err != nil {
			failed <- fmt.Errorf("work: %w", err)
		}
	}()

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	began := time.Now()
	p.log.Info("ending", zap.Duration("at_most", p.shutdownTimeout+flushTimeout))
	p.health.Drain()
	stopWork()
	err = errors.Join(err, p.drain(worked), p.Close())
	p.log.Info("ended", zap.Float64("duration_ms", float64(time.Since(began).Microseconds())/1000))
	return err
}

// serve runs a door until it is shut.
func serve(name string, d *door, failed chan<- error) {
	if err := d.server.Serve(d.listener); !errors.Is(err, http.ErrServerClosed) {
		failed <- fmt.Errorf("serve %s on %s: %w", name, d.listener.Addr(), err)
	}
}

// drain waits for requests and work in flight, then cuts what is left.
func (p *Process) drain(worked <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), p.shutdownTimeout)
	defer cancel()
	var errs []error
	if p.public != nil {
		if err := p.public.server.Shutdown(ctx); err != nil {
			p.public.cut()
			errs = append(errs, fmt.Errorf("requests were cut off after %s: %w", p.shutdownTimeout, err), p.public.server.Close())
		}
	}
	select {
	case <-worked:
	case <-ctx.Done():
		errs = append(errs, fmt.Errorf("work was cut off after %s: %w", p.shutdownTimeout, ctx.Err()))
	}
	return errors.Join(errs...)
}

// Close ends a process that does not run. It is bounded in time.
func (p *Process) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	var errs []error
	if p.public != nil {
		p.public.cut()
		errs = append(errs, p.public.close())
	}
	for i := len(p.closers) - 1; i >= 0; i-- {
		if err := p.closers[i].run(ctx); err != nil {
			errs = append(errs, err)
		}
	}
	if p.admin != nil {
		// Last, so that readiness and metrics can be read to the end.
		p.admin.cut()
		errs = append(errs, p.admin.close())
	}
	return errors.Join(errs...)
}

func (d *door) close() error {
	// The server knows the listener only once it serves.
	if err := d.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close %s: %w", d.listener.Addr(), err)
	}
	if err := d.server.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close %s: %w", d.listener.Addr(), err)
	}
	return nil
}
