package seeds

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// This is a public library, which borrows nothing from the tool that starts
// PostgreSQL for it: the tests start a server of their own, once.

// server is started by the first test that needs it.
type server struct {
	once sync.Once
	err  error
	url  string
	stop func()
	next int
	mu   sync.Mutex
}

// shared is one server for all tests of the package.
var shared server

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.stop != nil {
		shared.stop()
	}
	os.Exit(code)
}

// database gives a connection to an empty schema, with what ddl says in it.
func database(t testing.TB, ddl string) *pgx.Conn {
	t.Helper()
	shared.once.Do(func() { shared.err = shared.start() })
	if shared.err != nil {
		t.Fatalf("start PostgreSQL: %v", shared.err)
	}
	shared.mu.Lock()
	shared.next++
	name := fmt.Sprintf("t%d", shared.next)
	shared.mu.Unlock()
	config, err := pgx.ParseConfig(shared.url)
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams["search_path"] = name
	conn := connect(t, config)
	if _, err := conn.Exec(t.Context(), "CREATE SCHEMA "+name+"; "+ddl); err != nil {
		t.Fatal(err)
	}
	return conn
}

func connect(t testing.TB, config *pgx.ConnConfig) *pgx.Conn {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func (s *server) start() error {
	bin, err := programs()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "seeds-")
	if err != nil {
		return err
	}
	s.stop = func() { os.RemoveAll(dir) }
	var as *syscall.SysProcAttr
	if os.Getuid() == 0 { // as root PostgreSQL refuses to run
		if as, err = anotherUser(dir); err != nil {
			return err
		}
	}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "app", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	initdb.SysProcAttr, initdb.Dir = as, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	var log bytes.Buffer
	cmd := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-c", "listen_addresses=127.0.0.1",
		"-c", "port="+strconv.Itoa(port), "-c", "unix_socket_directories=", "-c", "fsync=off")
	cmd.SysProcAttr, cmd.Dir, cmd.Stderr = as, dir, &log
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	s.stop = func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		os.RemoveAll(dir)
	}
	s.url = fmt.Sprintf("postgres://app@127.0.0.1:%d/postgres?sslmode=disable", port)
	for {
		conn, err := pgx.Connect(context.Background(), s.url)
		if err == nil {
			return conn.Close(context.Background())
		}
		select {
		case <-ended:
			return fmt.Errorf("the server ended: %s", log.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// programs is the folder of PostgreSQL's programs.
func programs() (string, error) {
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		return "", errors.New("no PostgreSQL on this machine; apt-get install postgresql")
	}
	return found[len(found)-1], nil
}

func anotherUser(dir string) (*syscall.SysProcAttr, error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, os.Chown(dir, uid, gid)
}
