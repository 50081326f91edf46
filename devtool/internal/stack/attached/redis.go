package attached

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"example.com/goldenpath/devtool/internal/console"
)

const (
	redisLimit = 2 * time.Second
	// flushLimit is for a server that frees a large data set key by key.
	flushLimit = 30 * time.Second
	// longestReply is above what INFO answers.
	longestReply = 1 << 20 // bytes
)

// RedisOptions says where the server is.
type RedisOptions struct {
	Name     string        // of the dependency
	Addr     string        // host:port
	Patience time.Duration // how long Start waits for an answer; 0: a minute
}

// Redis is a server that speaks its protocol: Redis, Valkey.
type Redis struct {
	remote
	product atomic.Pointer[string] // with its version, as it was last told
}

// NewRedis makes one that has not been asked anything yet.
func NewRedis(opts RedisOptions) *Redis {
	return &Redis{remote: newRemote(opts.Name, opts.Addr, opts.Patience, redisLimit)}
}

// Start returns when PING is answered.
func (r *Redis) Start(ctx context.Context) error { return r.await(ctx, r.prepare) }

func (r *Redis) prepare(ctx context.Context) error {
	if err := r.Probe(ctx); err != nil {
		return refusedByRedis(err)
	}
	info, err := r.ask(ctx, "INFO", "server")
	var no redisError
	if errors.As(err, &no) {
		return nil // it answers PING, which is all that is needed
	}
	if err != nil {
		return err
	}
	product := redisProduct(info)
	r.product.Store(&product)
	return nil
}

// redisProduct reads INFO. Valkey has redis_version too: that of the Redis
// that it is compatible with.
func redisProduct(info string) string {
	fields := map[string]string{}
	for line := range strings.Lines(info) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		fields[key] = value
	}
	if version := fields["valkey_version"]; version != "" {
		return "Valkey " + version
	}
	return strings.TrimSpace("Redis " + fields["redis_version"])
}

// redisError is an answer that begins with "-".
type redisError string

func (e redisError) Error() string { return string(e) }

// errNotRedis is an answer that no such server gives.
var errNotRedis = errors.New("what answers does not speak Redis's protocol")

// refusedByRedis makes a failure of what waiting will not change.
func refusedByRedis(err error) error {
	var no redisError
	switch {
	case errors.Is(err, errNotRedis):
		return console.Wrap(err, console.ExitFailed, strangerHint)
	case errors.As(err, &no) && !passing(string(no)):
		return console.Wrap(err, console.ExitFailed, "let compose.yaml run Redis without a password and with protected-mode no")
	}
	return err
}

// passing says of an error whether it goes away by itself.
func passing(no string) bool {
	for _, prefix := range []string{"LOADING ", "BUSY ", "MASTERDOWN ", "TRYAGAIN ", "CLUSTERDOWN ", "ERR max number of clients"} {
		if strings.HasPrefix(no, prefix) {
			return true
		}
	}
	return false
}

// Flush removes all keys of all databases. Connections stay open.
func (r *Redis) Flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushLimit)
	defer cancel()
	if _, err := r.ask(ctx, "FLUSHALL"); err != nil {
		return fmt.Errorf("empty Redis at %s: %w", r.addr, err)
	}
	return nil
}

// Probe sends PING.
func (r *Redis) Probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.limit)
	defer cancel()
	if _, err := r.ask(ctx, "PING"); err != nil {
		return fmt.Errorf("ask Redis at %s: %w", r.addr, err)
	}
	return nil
}

// ask sends one command on a connection of its own
// (https://redis.io/docs/latest/develop/reference/protocol-spec/). A client
// library would bring a pool, which is a lot for one question.
func (r *Redis) ask(ctx context.Context, command ...string) (string, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", r.addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	// Closing is what interrupts a read when the caller gives up.
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	var request strings.Builder
	fmt.Fprintf(&request, "*%d\r\n", len(command))
	for _, word := range command {
		fmt.Fprintf(&request, "$%d\r\n%s\r\n", len(word), word)
	}
	reply := ""
	if _, err = io.WriteString(conn, request.String()); err == nil {
		reply, err = readReply(bufio.NewReader(conn))
	}
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%s: %w", command[0], ctx.Err())
	}
	return reply, err
}

// readReply reads a simple string, an error or a bulk string.
func readReply(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		return "", err
	}
	text := strings.TrimRight(string(line), "\r\n")
	switch {
	case err == nil && strings.HasPrefix(text, "+"):
		return text[1:], nil
	case err == nil && strings.HasPrefix(text, "-"):
		return "", redisError(text[1:])
	case err == nil && strings.HasPrefix(text, "$"):
		length, err := strconv.Atoi(text[1:])
		if err != nil || length < 0 || length > longestReply {
			break
		}
		body := make([]byte, length)
		_, err = io.ReadFull(r, body)
		return string(body), err
	}
	return "", fmt.Errorf("%w: %.60q", errNotRedis, text)
}

// Describe gives the product and version, once the server has told them, and
// the address.
func (r *Redis) Describe() string {
	product := "Redis"
	if told := r.product.Load(); told != nil {
		product = *told
	}
	return product + " at " + r.addr
}
