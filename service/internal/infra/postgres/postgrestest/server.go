// Package postgrestest runs a real PostgreSQL server for the tests of one
// process, and gives each test a fresh database with the service's schema.
package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/goldenpath/service/internal/infra/childtest"
)

const (
	superuser = "postgres"
	template  = "service_template"
	// patience is for a machine that is busy with other tests.
	patience = 60 * time.Second
)

// Server is a PostgreSQL server on a port of 127.0.0.1 of its own, with its data
// in a temporary folder and no regard for durability.
type Server struct {
	postgres string // the binary
	owner    *owner // whom the server runs as; nil is this process's user
	dir      string
	port     int
	made     atomic.Int64     // databases, for their names
	child    *childtest.Child // nil while it does not run
}

// Start makes a server and its template database. It fails when this machine has
// no PostgreSQL: tests are not skipped in silence. The caller stops it.
func Start() (*Server, error) {
	s, err := start()
	if err != nil {
		return nil, fmt.Errorf("starting postgresql for the tests: %w", err)
	}
	return s, nil
}

func start() (_ *Server, err error) {
	initdb, postgres, err := binaries()
	if err != nil {
		return nil, err
	}
	s := &Server{postgres: postgres}
	if s.owner, err = chooseOwner(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "postgrestest-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	// The server's user must get through to its data, and read its own log.
	if err := errors.Join(os.Chmod(s.dir, 0o755), os.Mkdir(s.data(), 0o700), s.owner.own(s.data())); err != nil {
		return nil, err
	}
	init := exec.Command(initdb, "-D", s.data(), "-U", superuser, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	init.Dir = s.dir
	init.SysProcAttr = s.owner.attributes()
	if out, err := init.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("running %s: %w\n%s", initdb, err, out)
	}
	if err := s.first(); err != nil {
		return nil, err
	}
	return s, s.makeTemplate()
}

// Restart starts the server after Kill, at the same address.
func (s *Server) Restart() error {
	deadline := time.Now().Add(patience)
	for {
		err := s.launch()
		// The processes of the server that was killed may be a moment from
		// noticing; until they are gone there can be no other.
		if err == nil || time.Now().After(deadline) {
			return err
		}
		<-time.After(10 * time.Millisecond)
	}
}

// first starts the server on a port of its own.
func (s *Server) first() (err error) {
	for range 5 { // another process may take a free port before the server does
		if s.port, err = freePort(); err != nil {
			return err
		}
		if err = s.launch(); err == nil {
			return nil
		}
	}
	return err
}

func (s *Server) launch() error {
	child, err := childtest.Start(s.dir, s.owner.attributes(), "QUIT",
		s.postgres, "-D", s.data(), "-p", strconv.Itoa(s.port), "-h", "127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "fsync=off", "-c", "full_page_writes=off",
		"-c", "wal_level=minimal", "-c", "max_wal_senders=0", "-c", "shared_buffers=32MB", "-c", "max_connections=100")
	if err != nil {
		return err
	}
	err = child.Answers(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return s.exec(ctx, superuser, "SELECT 1")
	})
	if err != nil {
		return errors.Join(err, child.Stop())
	}
	s.child = child
	return nil
}

// Kill ends the server as a crash would: SIGKILL, for the server and for every
// process of it, and waits until it is gone.
func (s *Server) Kill() error {
	raw, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		return fmt.Errorf("killing postgresql: %w", err)
	}
	first, _, _ := strings.Cut(string(raw), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		return fmt.Errorf("killing postgresql: reading its pid: %w", err)
	}
	// Its processes notice that the first one is gone, and end.
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("killing postgresql (pid %d): %w", pid, err)
	}
	return s.quit()
}

// Stop ends the server and removes its data.
func (s *Server) Stop() error { return errors.Join(s.quit(), os.RemoveAll(s.dir)) }

func (s *Server) quit() error {
	if s.child == nil {
		return nil
	}
	err := s.child.Stop()
	s.child = nil
	return err
}

// Addr is the server's host:port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// URL is that of a database of the server.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", superuser, s.Addr(), database)
}

// Database makes a database with the service's schema, drops it when the test
// ends, and returns its name; see URL.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", s.made.Add(1))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.exec(ctx, superuser, "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		t.Fatalf("making a test database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.exec(ctx, superuser, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("dropping a test database: %v", err)
		}
	})
	return name
}

// Recreate drops a database under whoever uses it, and makes it anew.
func (s *Server) Recreate(t testing.TB, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, sql := range []string{"DROP DATABASE " + name + " WITH (FORCE)", "CREATE DATABASE " + name + " TEMPLATE " + template} {
		if err := s.exec(ctx, superuser, sql); err != nil {
			t.Fatalf("making the database anew: %v", err)
		}
	}
}

// Exec runs statements in a database, on a connection of their own.
func (s *Server) Exec(t testing.TB, database, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.exec(ctx, database, sql); err != nil {
		t.Fatalf("running %q: %v", sql, err)
	}
}

// Holds runs a query in a database, and returns the truth of its one value.
func (s *Server) Holds(t testing.TB, database, query string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL(database))
	if err != nil {
		t.Fatalf("running %q: %v", query, err)
	}
	var holds bool
	if err := errors.Join(conn.QueryRow(ctx, query, pgx.QueryExecModeSimpleProtocol).Scan(&holds), conn.Close(ctx)); err != nil {
		t.Fatalf("running %q: %v", query, err)
	}
	return holds
}

func (s *Server) exec(ctx context.Context, database, sql string) error {
	conn, err := pgx.Connect(ctx, s.URL(database))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	return errors.Join(err, conn.Close(ctx))
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
