package schema

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"example.com/goldenpath/devtool/internal/process"
	"example.com/goldenpath/devtool/internal/stack/embedded"
)

// patience is how long a test waits for what should take moments.
const patience = 20 * time.Second

// server is one PostgreSQL for all tests of the package.
type server struct {
	*embedded.Postgres
	databases atomic.Int32
}

// shared is set by TestMain, before any test, and never again.
var shared *server

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "schema-")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return fail(err)
	}
	registry, err := process.OpenRegistry(filepath.Join(dir, "processes.json"))
	if err != nil {
		return fail(err)
	}
	shared = &server{Postgres: embedded.NewPostgres(embedded.Config{Dir: dir, Registry: registry},
		embedded.PostgresOptions{Name: "db", Database: "postgres", User: "app", Password: "secret"})}
	if err := shared.Start(context.Background()); err != nil {
		return fail(err)
	}
	code := m.Run()
	if err := shared.Stop(context.Background()); err != nil {
		return fail(err)
	}
	if err := goleak.Find(); err != nil {
		return fail(err)
	}
	return code
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// name gives a database name that no other test has.
func (s *server) name() string { return fmt.Sprintf("t%d", s.databases.Add(1)) }

// database makes an empty one.
func (s *server) database(t testing.TB) (url string) {
	t.Helper()
	name := s.name()
	admin := connect(t, s.AdminURL())
	if _, err := admin.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return s.URL(name)
}

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func text(t testing.TB, conn *pgx.Conn, sql string, args ...any) string {
	t.Helper()
	var answer string
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// migrations writes files and gives their source.
func migrations(t testing.TB, files map[string]string) Source {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Source{Dir: dir}
}
