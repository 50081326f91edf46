package attached

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/goldenpath/devtool/internal/console"
)

func redisAt(addr string) *Redis {
	return NewRedis(RedisOptions{Name: "redis", Addr: addr, Patience: patience})
}

// answers replies with the last text to INFO and with the first to all else.
func answers(replies ...string) func(net.Conn) {
	return func(c net.Conn) {
		buffer := make([]byte, 4096)
		n, err := c.Read(buffer)
		if err != nil {
			return
		}
		reply := replies[0]
		if strings.Contains(string(buffer[:n]), "INFO") {
			reply = replies[len(replies)-1]
		}
		c.Write([]byte(reply))
	}
}

func TestRedis(t *testing.T) {
	up := started(t, realRedis)
	r := redisAt(up.Addr())
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}

	t.Run("flush empties all databases and keeps connections", func(t *testing.T) {
		var clients []*redis.Client
		for db := range 2 {
			c := redis.NewClient(&redis.Options{Addr: up.Addr(), DB: db, MaxRetries: -1, PoolSize: 1})
			defer c.Close()
			if err := c.Set(t.Context(), "kept", "no", 0).Err(); err != nil {
				t.Fatal(err)
			}
			clients = append(clients, c)
		}
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, c := range clients {
			if n, err := c.DBSize(t.Context()).Result(); err != nil || n != 0 || c.PoolStats().Misses != 1 {
				t.Errorf("%d keys, %d connections, %v", n, c.PoolStats().Misses, err)
			}
		}
	})

	t.Run("one that loads its data is waited for", func(t *testing.T) {
		loading := answers("-LOADING Redis is loading the dataset in memory\r\n")
		if err := redisAt(newDoor(t, first(3, loading, leads(up.Addr(), nil)))).Start(t.Context()); err != nil {
			t.Error(err)
		}
	})

	for name, line := range map[string]string{
		"wants a password":     "-NOAUTH Authentication required.\r\n",
		"is in protected mode": "-DENIED Redis is running in protected mode because\r\n",
	} {
		t.Run("one that "+name+" says so at once", func(t *testing.T) {
			began := time.Now()
			failure(t, redisAt(newDoor(t, answers(line))).Start(t.Context()), strings.TrimSpace(line[1:]), "compose.yaml")
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}

	for _, product := range []struct{ name, info, want string }{
		{"Redis", "# Server\r\nredis_version:8.2.3\r\nredis_mode:standalone\r\n", "Redis 8.2.3"},
		{"Valkey", "# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.4\r\n", "Valkey 8.1.4"},
		{"one that tells no version", "# Server\r\nos:Linux\r\n", "Redis"},
	} {
		t.Run(product.name+" is described by what it says", func(t *testing.T) {
			d := newDoor(t, answers("+PONG\r\n", "$"+strconv.Itoa(len(product.info))+"\r\n"+product.info+"\r\n"))
			r := redisAt(d)
			if err := r.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if want := product.want + " at " + d; r.Describe() != want {
				t.Errorf("described as %q, want %q", r.Describe(), want)
			}
		})
	}

	for name, reply := range map[string]string{
		"a length of gigabytes": "$4000000000\r\n", "a negative length": "$-7\r\n", "a length that is none": "$x\r\n",
		"an endless line": strings.Repeat("+", 1<<20), "an array": "*1\r\n+PONG\r\n", "an empty line": "\r\n",
	} {
		t.Run(name+" is not an answer", func(t *testing.T) {
			err := redisAt(newDoor(t, answers(reply))).Start(t.Context())
			var f *console.Failure
			if !errors.As(err, &f) || !errors.Is(err, errNotRedis) || len(err.Error()) > 400 {
				t.Errorf("error %.400v", err)
			}
		})
	}
}
