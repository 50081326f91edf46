package attached

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// container runs an image until the end of the test and returns its name and
// the address at which its port is published.
func container(t *testing.T, port string, args ...string) (name, addr string) {
	t.Helper()
	if os.Getenv("GOLDENPATH_DOCKER") != "1" {
		t.Skip("needs Docker: GOLDENPATH_DOCKER=1")
	}
	name = "attached-" + strings.ToLower(rand.Text())
	docker(t, append([]string{"run", "--detach", "--name", name, "--publish", "127.0.0.1::" + port}, args...)...)
	t.Cleanup(func() { docker(t, "rm", "--force", "--volumes", name) })
	return name, strings.TrimSpace(docker(t, "port", name, port+"/tcp"))
}

func docker(t *testing.T, args ...string) string {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command("docker", args...)
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("docker %s: %v: %s", args[0], err, said.Bytes())
	}
	return string(out)
}

// paused asks while a container holds still, which is a machine that hangs.
func paused(t *testing.T, name string, s server) {
	t.Helper()
	docker(t, "pause", name)
	began := time.Now()
	err := s.Probe(t.Context())
	docker(t, "unpause", name)
	if took := time.Since(began); err == nil || took > 10*time.Second {
		t.Errorf("paused: %v after %s", err, took)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Errorf("after the pause: %v", err)
	}
}

func TestPostgresContainer(t *testing.T) {
	name, addr := container(t, "5432", "--env", "POSTGRES_USER=app", "--env", "POSTGRES_PASSWORD="+password, "--env", "POSTGRES_DB=notes", "postgres:17.7")
	p := NewPostgres(PostgresOptions{Name: "db", Addr: addr, Database: "other", User: "app", Password: password})
	began := time.Now()
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s after %s", p.Describe(), time.Since(began).Round(time.Millisecond))

	t.Run("a container that initialises its data is waited for", func(t *testing.T) {
		if got := query(t, p.URL("other"), "SELECT current_database()"); got != "other" {
			t.Errorf("in database %q", got)
		}
	})

	t.Run("one that restarts is waited for", func(t *testing.T) {
		docker(t, "restart", name)
		addr := strings.TrimSpace(docker(t, "port", name, "5432/tcp")) // Docker picks another port
		o := p.opts
		o.Addr = addr
		if err := NewPostgres(o).Start(t.Context()); err != nil {
			t.Error(err)
		}
		paused(t, name, NewPostgres(o))
	})
}

func TestRedisContainer(t *testing.T) {
	name, addr := container(t, "6379", "redis:8.2.3")
	r := NewRedis(RedisOptions{Name: "redis", Addr: addr})
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Log(r.Describe())

	t.Run("it tells its version", func(t *testing.T) {
		if !strings.Contains(r.Describe(), "8.") {
			t.Errorf("described as %q", r.Describe())
		}
	})

	t.Run("it is flushed", func(t *testing.T) {
		docker(t, "exec", name, "redis-cli", "set", "kept", "no")
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := docker(t, "exec", name, "redis-cli", "exists", "kept"); strings.TrimSpace(got) != "0" {
			t.Errorf("exists: %s", got)
		}
		paused(t, name, r)
	})
}

func TestKafkaContainer(t *testing.T) {
	// It advertises the name that containers of its network would use.
	name, addr := container(t, "9092", "--hostname", "kafka",
		"--env", "KAFKA_NODE_ID=1", "--env", "KAFKA_PROCESS_ROLES=broker,controller",
		"--env", "KAFKA_CONTROLLER_QUORUM_VOTERS=1@localhost:9093", "--env", "KAFKA_CONTROLLER_LISTENER_NAMES=CONTROLLER",
		"--env", "KAFKA_LISTENERS=PLAINTEXT://:9092,CONTROLLER://:9093", "--env", "KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://kafka:9092",
		"--env", "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"--env", "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR=1", "apache/kafka:4.1.0")
	k := kafkaAt(addr)
	k.patience = time.Minute
	began := time.Now()
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s after %s", k.Describe(), time.Since(began).Round(time.Millisecond))

	t.Run("it is emptied, though it advertises a name that is unknown here", func(t *testing.T) {
		here := &brokerDialer{addr: addr}
		here.alone.Store(true)
		client := kafkaClient(t, addr, kgo.Dialer(here.dial), kgo.ConsumeTopics(topic))
		produce(t, client, "before")
		consume(t, client, "before")
		if err := errors.Join(k.Reset(t.Context()), k.Probe(t.Context())); err != nil {
			t.Fatal(err)
		}
		produce(t, client, "after")
		consume(t, client, "after")
		late := kafkaClient(t, addr, kgo.Dialer(here.dial), kgo.ConsumeTopics(topic))
		if got := consume(t, late, "after"); len(got) != 1 {
			t.Errorf("after the reset there was %q", got)
		}
		paused(t, name, k)
	})
}
