// Package parity runs one set of behaviours against the servers of two engines
// and says where their answers differ. The behaviours are in packages postgres,
// redis and kafka.
package parity

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Endpoint is a server under test.
type Endpoint struct {
	URL  string // Redis and Kafka: host:port; PostgreSQL: of a database that is not dropped meanwhile
	Name string // what serves, as its engine describes it: "PostgreSQL 17.7 …"
}

// Servers are those of one engine, by kind. A kind that is missing is not run.
type Servers struct {
	Engine    string
	Endpoints map[string]Endpoint
}

// Target is where a behaviour finds its server.
type Target struct {
	URL string
	// Name is the behaviour's own in this run: lower case letters, digits and
	// underscores. What it makes on the server begins with it, and is gone after
	// the run.
	Name string
}

// Behaviour is something that a service may rely on.
type Behaviour struct {
	ID   string // kind/name
	What string // what is observed, in a few words
	// Run gives the observation: a short text of values, orders and error codes,
	// the same at every run on the same server. So it holds no times, ids or
	// versions below the major one. An error says that there is nothing to
	// compare; what the server refuses is an observation.
	Run func(ctx context.Context, t Target) (observation string, err error)
}

// Suite is the behaviours of one kind of server.
type Suite struct {
	Kind string
	// Open makes a place for one run, whose name begins all that is made in it.
	// It returns the URL for the behaviours, and what removes all of it again.
	Open       func(ctx context.Context, url, run string) (place string, remove func(context.Context) error, err error)
	Behaviours []Behaviour
}

// Result is what one server did.
type Result struct {
	ID, What    string
	Server      string // the engine and Endpoint.Name: "compose: PostgreSQL 17.7 …"
	Observation string
	Took        time.Duration
	Err         error // the behaviour could not be observed
}

const (
	// patience is how long a behaviour may take. Most take milliseconds.
	patience = 10 * time.Second
	// abreast is how many behaviours of a kind run at once. More would wait for
	// one another's locks, disks and processors and run into patience.
	abreast = 4
	// farewell is how long it may take to remove what a run made.
	farewell = 20 * time.Second
)

// Unanswered is the observation where a server leaves a behaviour waiting.
var Unanswered = fmt.Sprintf("no answer within %s", patience)

// Run runs the suites on the servers, side by side, and returns the results in
// the suites' order. done is told of each behaviour that ended, from several
// goroutines. The error is about places that could not be made or removed.
func Run(ctx context.Context, servers Servers, suites []Suite, done func(Result)) ([]Result, error) {
	run := "parity_" + strings.ToLower(rand.Text()[:10])
	groups := make([][]Result, len(suites))
	var all errgroup.Group
	for i, s := range suites {
		end, ok := servers.Endpoints[s.Kind]
		if !ok {
			continue
		}
		all.Go(func() (err error) {
			groups[i], err = runSuite(ctx, s, servers.Engine+": "+end.Name, end.URL, run, done)
			if err != nil {
				return fmt.Errorf("%s of engine %s: %w", s.Kind, servers.Engine, err)
			}
			return nil
		})
	}
	err := all.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var results []Result
	for _, g := range groups {
		results = append(results, g...)
	}
	return results, err
}

func runSuite(ctx context.Context, s Suite, server, url, run string, done func(Result)) (results []Result, err error) {
	opening, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	place, remove, err := s.Open(opening, url, run)
	if err != nil {
		return nil, err
	}
	defer func() {
		leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		if removing := remove(leaving); removing != nil {
			err = errors.Join(err, fmt.Errorf("remove what the run made: %w", removing))
		}
	}()
	results = make([]Result, len(s.Behaviours))
	slots := make(chan struct{}, abreast)
	var all sync.WaitGroup
	for i, b := range s.Behaviours {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if ctx.Err() != nil {
				return
			}
			results[i] = observe(ctx, b, Target{URL: place, Name: fmt.Sprintf("%s_%d", run, i)}, patience)
			results[i].Server = server
			if done != nil {
				done(results[i])
			}
		})
	}
	all.Wait()
	return results, nil
}

func observe(ctx context.Context, b Behaviour, t Target, patience time.Duration) Result {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	began := time.Now()
	observation, err := b.Run(limited, t)
	r := Result{ID: b.ID, What: b.What, Took: time.Since(began)}
	switch {
	case err == nil:
		// Its own name is the one thing in an answer that must differ.
		r.Observation = strings.ReplaceAll(observation, t.Name, "NAME")
	case limited.Err() != nil && ctx.Err() == nil:
		r.Observation = Unanswered
	default:
		r.Err = err
	}
	return r
}

// Until asks again and again, every few milliseconds, until yes says so, fails,
// or ctx ends: for behaviours whose effect is not there at once.
func Until(ctx context.Context, yes func() (bool, error)) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if done, err := yes(); err != nil || done {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
