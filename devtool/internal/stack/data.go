package stack

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/control"
	"example.com/goldenpath/devtool/internal/schema"
	"example.com/goldenpath/seeds"
)

const (
	resetTimeout = 2 * time.Minute // with a template that must be built anew
	quietTimeout = 3 * time.Second // for requests in flight to end before a reset
)

// database is the dependency that migrations and seeds are for, or nil.
func (s *Stack) database() *dependency {
	wanted := s.project.Database()
	for _, d := range s.dependencies {
		if wanted != nil && d.spec.Name == wanted.Name {
			return d
		}
	}
	return nil
}

// data is the database as migrations and seeds make it.
type data struct {
	sql      sqlServer
	name     string
	source   schema.Source
	profile  *seeds.Profile // nil: no seeds
	template *schema.Template
	key      string // of the template: it changes when migrations or seeds do
}

// readData reads the migrations and seeds as they are now.
func (s *Stack) readData() (*data, error) {
	d := s.database()
	if d == nil {
		return nil, console.Fail(console.ExitUsage, "docs/devtool-yaml.md, dependencies", "the project has no PostgreSQL")
	}
	sql, ok := d.server.(sqlServer)
	if !ok {
		return nil, fmt.Errorf("%s: its server holds no databases", d.spec.Name)
	}
	x := &data{sql: sql, name: d.spec.Database}
	var keys []string
	if s.project.Migrations != "" {
		x.source = schema.Source{Dir: s.project.Path(s.project.Migrations)}
		digest, err := x.source.Digest()
		if err != nil {
			return nil, err
		}
		keys = append(keys, digest)
	}
	if s.project.Seeds.Dir != "" {
		var err error
		if x.profile, err = s.profile(""); err != nil {
			return nil, err
		}
		keys = append(keys, x.profile.Key(1))
	}
	x.key = strings.Join(keys, " ")
	x.template = schema.NewTemplate(sql.AdminURL(), x.name)
	return x, nil
}

// profile loads a data set; "" is the project's own.
func (s *Stack) profile(name string) (*seeds.Profile, error) {
	if s.project.Seeds.Dir == "" {
		return nil, console.Fail(console.ExitUsage, "docs/devtool-yaml.md, seeds", "the project has no seeds")
	}
	if name == "" {
		name = s.project.Seeds.Profile
	}
	p, err := seeds.Load(s.project.Path(s.project.Seeds.Dir), name)
	if err != nil {
		return nil, console.Wrap(err, console.ExitUsage, console.HintOf(err))
	}
	return p, nil
}

// fill migrates and seeds an empty database.
func (x *data) fill(ctx context.Context, url string) error {
	if x.source.Dir != "" {
		if _, err := schema.Migrate(ctx, url, x.source); err != nil {
			return err
		}
	}
	if x.profile == nil {
		return nil
	}
	_, err := withConn(ctx, url, func(conn *pgx.Conn) (seeds.Report, error) {
		return x.profile.Apply(ctx, conn, seeds.Options{Scale: 1})
	})
	return err
}

func withConn[T any](ctx context.Context, url string, f func(*pgx.Conn) (T, error)) (T, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		var none T
		return none, fmt.Errorf("connect to the database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return f(conn)
}

// prepareData brings the live database to the newest migrations, keeping what is
// in it; where there is none, or nothing in it yet, it is made from the template.
func (s *Stack) prepareData(ctx context.Context) error {
	x, err := s.readData()
	if err != nil {
		return err
	}
	live, err := x.template.Exists(ctx)
	if err != nil {
		return err
	}
	asNew := s.opts.Fresh && s.engine.Keeps()
	if live && !asNew {
		if asNew, err = schema.Untouched(ctx, x.sql.URL(x.name)); err != nil {
			return err
		}
	}
	if live && !asNew {
		if x.source.Dir == "" {
			return nil
		}
		return s.step(ctx, "migrate", func(ctx context.Context) (string, error) {
			result, err := schema.Migrate(ctx, x.sql.URL(x.name), x.source)
			if err != nil {
				return "", err
			}
			return migrated(result), nil
		})
	}
	return s.step(ctx, "data", func(ctx context.Context) (string, error) {
		if _, err := x.template.Ensure(ctx, x.key, x.fill); err != nil {
			return "", err
		}
		if err := x.template.Restore(ctx); err != nil {
			return "", err
		}
		if x.profile == nil {
			return "migrated", nil
		}
		return "migrated, seeded with " + s.project.Seeds.Profile, nil
	})
}

func migrated(r schema.Result) string {
	if r.Applied == 0 {
		return fmt.Sprintf("at version %d, nothing to do", r.To)
	}
	return fmt.Sprintf("from version %d to %d", r.From, r.To)
}

// prepareReset does beforehand what the next reset would wait for. Nothing
// depends on it, so what goes wrong is for the log.
func (s *Stack) prepareReset(ctx context.Context) {
	s.resetting.Lock()
	defer s.resetting.Unlock()
	x, err := s.readData()
	if err == nil {
		if _, err = s.ensureTemplate(ctx, x); err == nil {
			err = x.template.Prepare(ctx)
		}
	}
	if err != nil && ctx.Err() == nil {
		s.logs.Say("prepare the next reset: %v", err)
	}
}

// ensureTemplate makes the template of x unless it is there, and remembers it, so
// that the next reset need not look. s.resetting is held.
func (s *Stack) ensureTemplate(ctx context.Context, x *data) (built bool, err error) {
	built, err = x.template.Ensure(ctx, x.key, x.fill)
	s.template = ""
	if err == nil {
		s.template = x.key
	}
	return built, err
}

// Reset is control.Backend's. Requests wait at the gateway meanwhile, so that
// none sees a half-made database; clients keep their addresses, and what pools
// hold is closed by the server and replaced at its next use.
func (s *Stack) Reset(ctx context.Context) (control.ResetReport, error) {
	ctx, cancel := context.WithTimeout(ctx, resetTimeout)
	defer cancel()
	s.resetting.Lock()
	defer s.resetting.Unlock()
	began := time.Now()
	report := control.ResetReport{Parts: map[string]int64{}, Profile: s.project.Seeds.Profile}
	if s.Status().State != control.Running {
		return report, console.Fail(console.ExitFailed, "devtool status", "the stack is not up yet")
	}
	x, err := s.readData()
	if err != nil {
		return report, err
	}
	// The slow part, when migrations or seeds have changed, before anyone waits.
	if s.template != x.key {
		if report.Rebuilt, err = s.ensureTemplate(ctx, x); err != nil {
			return report, err
		}
	}
	cleared, err := s.chaos.Clear()
	if err != nil {
		return report, err
	}
	report.Cleared = len(cleared)

	quiet, stop := context.WithTimeout(ctx, quietTimeout)
	release, err := s.gateway.Hold(quiet)
	stop()
	defer release()
	if err != nil {
		report.InFlight = s.gateway.Stats().InFlight
	}
	group, gctx := errgroup.WithContext(ctx)
	parts := make([]time.Duration, len(s.dependencies))
	for i, d := range s.dependencies {
		group.Go(func() error {
			began := time.Now()
			defer func() { parts[i] = time.Since(began) }()
			if err := d.reset(gctx, x); err != nil {
				return fmt.Errorf("reset %s: %w", d.spec.Name, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		s.template = "" // it may be what is missing
		return report, console.Wrap(err, console.ExitFailed, "devtool reset again; devtool up --fresh begins with new data")
	}
	for i, d := range s.dependencies {
		report.Parts[d.spec.Name] = parts[i].Milliseconds()
	}
	report.MS = time.Since(began).Milliseconds()
	s.say("reset in %s", console.Seconds(time.Since(began)))
	s.spawn(s.prepareReset)
	return report, nil
}

// reset makes one dependency as new.
func (d *dependency) reset(ctx context.Context, x *data) error {
	if _, ok := d.server.(sqlServer); ok {
		if d != d.stack.database() {
			return nil
		}
		return x.template.Restore(ctx)
	}
	if f, ok := d.server.(flusher); ok {
		return f.Flush(ctx)
	}
	if r, ok := d.server.(resetter); ok {
		return r.Reset(ctx)
	}
	return nil
}

// Seed is control.Backend's.
func (s *Stack) Seed(ctx context.Context, q control.SeedRequest) (control.SeedReport, error) {
	s.resetting.Lock()
	defer s.resetting.Unlock()
	if s.Status().State != control.Running {
		return control.SeedReport{}, console.Fail(console.ExitFailed, "devtool status", "the stack is not up yet")
	}
	p, err := s.profile(q.Profile)
	if err != nil {
		return control.SeedReport{}, err
	}
	x, err := s.readData()
	if err != nil {
		return control.SeedReport{}, err
	}
	began := time.Now()
	report := control.SeedReport{Profile: q.Profile, Scale: q.Scale, Same: true}
	if report.Profile == "" {
		report.Profile = s.project.Seeds.Profile
	}
	options := seeds.Options{Scale: q.Scale}
	if q.Verify {
		report, err = verifySeeds(ctx, x, p, options, report)
	} else {
		report, err = s.applySeeds(ctx, x, p, options, report)
	}
	report.MS = time.Since(began).Milliseconds()
	return report, err
}

func verifySeeds(ctx context.Context, x *data, p *seeds.Profile, o seeds.Options, report control.SeedReport) (control.SeedReport, error) {
	result, err := withConn(ctx, x.sql.URL(x.name), func(conn *pgx.Conn) (seeds.Verification, error) {
		return p.Verify(ctx, conn, o)
	})
	if err != nil {
		return report, err
	}
	report.Digest, report.Found, report.Same = result.Want, result.Got, result.OK()
	for _, t := range result.Tables {
		report.Tables = append(report.Tables, control.SeedTable{Name: t.Name, Rows: t.Got})
		if report.Differs == "" && t.Missing+t.Unexpected > 0 {
			report.Differs = fmt.Sprintf("%s (%d rows missing or changed, %d unexpected or changed)", t.Name, t.Missing, t.Unexpected)
		}
	}
	return report, nil
}

func (s *Stack) applySeeds(ctx context.Context, x *data, p *seeds.Profile, o seeds.Options, report control.SeedReport) (control.SeedReport, error) {
	result, err := withConn(ctx, x.sql.URL(x.name), func(conn *pgx.Conn) (seeds.Report, error) {
		return p.Apply(ctx, conn, o)
	})
	if err != nil {
		return report, err
	}
	report.Digest, report.Found = result.Digest, result.Digest
	for _, t := range result.Tables {
		report.Tables = append(report.Tables, control.SeedTable{Name: t.Name, Rows: t.Rows})
	}
	// What was cached is about rows that are gone.
	return report, s.flushCaches(ctx)
}

func (s *Stack) flushCaches(ctx context.Context) error {
	var errs []error
	for _, d := range s.dependencies {
		if f, ok := d.server.(flusher); ok {
			if err := f.Flush(ctx); err != nil {
				errs = append(errs, fmt.Errorf("empty %s: %w", d.spec.Name, err))
			}
		}
	}
	return errors.Join(errs...)
}
