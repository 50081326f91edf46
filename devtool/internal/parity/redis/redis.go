// Package redis has what a Go service relies on in Redis, by way of go-redis and
// asynq.
package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"example.com/goldenpath/devtool/internal/parity"
)

// Suite returns the behaviours. To add one is to add it to a list; it uses no
// keys but those that begin with its own name.
func Suite() parity.Suite {
	return parity.Suite{Kind: "redis", Open: open, Behaviours: slices.Concat(commands(), scripts(), conversations(), tasks())}
}

// open uses the server as it is: keys begin with the name of their
// behaviour and are removed by it.
func open(ctx context.Context, place, run string) (string, func(context.Context) error, error) {
	rdb := dial(place, 2)
	defer rdb.Close()
	if err := rdb.Ping(ctx).Err(); err != nil {
		return "", nil, err
	}
	return place, func(ctx context.Context) error { return forget(ctx, place, run) }, nil
}

func forget(ctx context.Context, place, run string) error {
	rdb := dial(place, 2)
	defer rdb.Close()
	for _, pattern := range []string{run + "*", "asynq:{" + run + "*"} {
		keys := rdb.Scan(ctx, 0, pattern, 1000).Iterator()
		for keys.Next(ctx) {
			if err := rdb.Del(ctx, keys.Val()).Err(); err != nil {
				return err
			}
		}
		if err := keys.Err(); err != nil {
			return err
		}
	}
	return nil
}

// dial makes a client that says nothing of itself and tries everything once, so
// that what is observed is the server's answer to the command and no other.
func dial(place string, protocol int) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: place, Protocol: protocol, DisableIdentity: true, ContextTimeoutEnabled: true,
		MaxRetries: -1, DialerRetries: 1, ReadTimeout: -1, WriteTimeout: -1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

// client is one connection.
type client struct {
	*redis.Conn
	prefix string
}

// do sends a command of words and gives the answer, as say does.
func (c *client) do(ctx context.Context, line string) (string, error) {
	return c.say(ctx, c.words(line)...)
}

// words cuts a line at its blanks. @ at the start of a word is the behaviour's
// prefix, "" is the empty word.
func (c *client) words(line string) []any {
	var args []any
	for _, word := range strings.Fields(line) {
		if name, ok := strings.CutPrefix(word, "@"); ok {
			word = c.prefix + name
		}
		if word == `""` {
			word = ""
		}
		args = append(args, word)
	}
	return args
}

// say sends a command and writes its answer, an error of the server's included.
func (c *client) say(ctx context.Context, args ...any) (string, error) {
	answer, err := c.Do(ctx, args...).Result()
	text, err := reading(answer, err)
	return strings.ReplaceAll(text, c.prefix, "@"), err
}

// inWords leaves out of a refusal what says nothing about the command.
// Behaviour "mistakes" has the whole texts.
func inWords(refused redis.Error) string {
	text := refused.Error()
	for _, short := range []string{"ERR unknown command", "ERR unknown subcommand"} {
		if strings.HasPrefix(text, short) && !strings.Contains(text, "or wrong number") {
			return "error " + short
		}
	}
	return "error " + text
}

func reading(answer any, err error) (string, error) {
	var refused redis.Error
	switch {
	case errors.Is(err, redis.Nil):
		return "nil", nil
	case errors.As(err, &refused):
		return inWords(refused), nil
	}
	return written(answer), err
}

// written is an answer as text: strings in quotes, so that "1" is not 1.
func written(answer any) string {
	switch v := answer.(type) {
	case nil:
		return "nil"
	case string:
		return strconv.Quote(v)
	case redis.Error: // inside of an array, as of EXEC
		return inWords(v)
	case []any:
		list := make([]string, len(v))
		for i := range v {
			list[i] = written(v[i])
		}
		return "[" + strings.Join(list, " ") + "]"
	case map[any]any:
		list := make([]string, 0, len(v))
		for key, value := range v {
			list = append(list, written(key)+": "+written(value))
		}
		sort.Strings(list)
		return "{" + strings.Join(list, ", ") + "}"
	}
	return fmt.Sprint(answer)
}

// talk is a behaviour of commands that run one after the other on a connection.
// An answer to a line that begins with ~ is a time that passes, given in tens.
func talk(name, what string, lines ...string) parity.Behaviour {
	return behaviour(name, what, func(ctx context.Context, c *client, _ parity.Target) (string, error) {
		var said []string
		for _, line := range lines {
			line, passes := strings.CutPrefix(line, "~ ")
			answer, err := c.do(ctx, line)
			if err != nil {
				return "", err
			}
			if n, err := strconv.Atoi(answer); err == nil && passes && n > 0 {
				answer = fmt.Sprint("about ", (n+5)/10*10)
			}
			said = append(said, answer)
		}
		return strings.Join(said, "; "), nil
	})
}

// behaviour is a behaviour that starts with a connection.
func behaviour(name, what string, run func(context.Context, *client, parity.Target) (string, error)) parity.Behaviour {
	return parity.Behaviour{ID: "redis/" + name, What: what, Run: func(ctx context.Context, t parity.Target) (string, error) {
		return withClient(t, 2, func(c *client) (string, error) { return run(ctx, c, t) })
	}}
}

func withClient(t parity.Target, protocol int, use func(*client) (string, error)) (string, error) {
	rdb := dial(t.URL, protocol)
	defer rdb.Close()
	conn := rdb.Conn()
	defer conn.Close()
	return use(&client{conn, t.Name + ":"})
}
