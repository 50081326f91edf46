package schema

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/goldenpath/seeds"
)

// The template's own migrations and its data set of 10,000 notes.
const (
	migrationsDir = "../../../service/db/migrations"
	seedsDir      = "../../../seeds/data"
)

// BenchmarkRestore compares a reset through the template with what it replaces:
// drop, create, migrate and seed. A session is open in the live database, as a
// service's pool would have it. Prepare runs when nobody waits, so it is shown
// beside the ratio and is no part of it.
func BenchmarkRestore(b *testing.B) {
	ctx := context.Background()
	profile, err := seeds.Load(seedsDir, "load")
	if err != nil {
		b.Fatal(err)
	}
	fill := func(ctx context.Context, url string) error {
		if _, err := Migrate(ctx, url, Source{Dir: migrationsDir}); err != nil {
			return err
		}
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = profile.Apply(ctx, conn, seeds.Options{})
		return err
	}
	name := shared.name()
	tmpl := NewTemplate(shared.AdminURL(), name)
	if _, err := tmpl.Ensure(ctx, "key", fill); err != nil {
		b.Fatal(err)
	}
	if err := tmpl.CreateLive(ctx); err != nil {
		b.Fatal(err)
	}
	plain := shared.name()
	admin, err := pgx.Connect(ctx, shared.AdminURL())
	if err != nil {
		b.Fatal(err)
	}
	defer admin.Close(ctx)
	open := func(url string) *pgx.Conn {
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			b.Fatal(err)
		}
		return conn
	}
	byHand := func() {
		for _, statement := range []string{"DROP DATABASE IF EXISTS " + plain + " WITH (FORCE)", "CREATE DATABASE " + plain} {
			if _, err := admin.Exec(ctx, statement); err != nil {
				b.Fatal(err)
			}
		}
		if err := fill(ctx, shared.URL(plain)); err != nil {
			b.Fatal(err)
		}
	}
	byHand()
	var restoring, preparing, copying, plainly time.Duration
	timed := func(total *time.Duration, do func()) {
		began := time.Now()
		do()
		*total += time.Since(began)
	}
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		timed(&preparing, func() { must(tmpl.Prepare(ctx)) })
		session := open(shared.URL(name))
		timed(&restoring, func() { must(tmpl.Restore(ctx)) })
		session.Close(ctx)
		timed(&copying, func() { must(tmpl.Restore(ctx)) }) // right after: no spare
		session = open(shared.URL(plain))
		timed(&plainly, byHand)
		session.Close(ctx)
	}
	var rows int
	live := open(shared.URL(name))
	defer live.Close(ctx)
	must(live.QueryRow(ctx, "select count(*) from notes").Scan(&rows))
	if rows != 10_000 {
		b.Fatalf("the live database has %d notes", rows)
	}
	per := float64(b.N) * float64(time.Millisecond)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(restoring)/per, "ms/restore")
	b.ReportMetric(float64(copying)/per, "ms/restore-no-spare")
	b.ReportMetric(float64(preparing)/per, "ms/prepare")
	b.ReportMetric(float64(plainly)/per, "ms/drop-migrate-seed")
	b.ReportMetric(float64(plainly)/float64(restoring), "x-faster")
}
