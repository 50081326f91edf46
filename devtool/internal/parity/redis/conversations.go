package redis

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/goldenpath/devtool/internal/parity"
)

// conversations are transactions, blocking commands, messages and protocols:
// what happens between connections.
func conversations() []parity.Behaviour {
	return []parity.Behaviour{
		talk("multi", "MULTI and EXEC",
			"MULTI", "SET @k 1", "INCR @k", "LPUSH @k x", "INCR @k", "EXEC", "GET @k", "EXEC", "DISCARD", "MULTI", "MULTI", "SET @k 9",
			"DISCARD", "GET @k"),
		talk("multi-aborted", "a transaction with a wrong command",
			"SET @k 1", "MULTI", "INCR @k", "NOSUCH", "GET", "EXEC", "GET @k", "MULTI", "WATCH @k", "EXEC", "MULTI", "EXEC"),
		behaviour("watch", "WATCH and a change by another", func(ctx context.Context, c *client, t parity.Target) (string, error) {
			var said []string
			for _, changed := range []string{"SET @k 2", "EXPIRE @k 100", "DEL @k", "GET @k", "SET @other 1", "UNLINK @none"} {
				for _, line := range []string{"SET @k 1", "WATCH @k @none", "!" + changed, "MULTI", "GET @k", "EXEC"} {
					line, others := strings.CutPrefix(line, "!")
					var answer string
					var err error
					if others {
						_, err = withClient(t, 2, func(o *client) (string, error) { return o.do(ctx, line) })
					} else {
						answer, err = c.do(ctx, line)
					}
					if err != nil {
						return "", err
					}
					if line == "EXEC" {
						said = append(said, changed+": "+answer)
					}
				}
			}
			return strings.Join(said, "; "), nil
		}),
		behaviour("pipeline", "answers of a pipeline", func(ctx context.Context, c *client, _ parity.Target) (string, error) {
			p := c.Pipeline()
			for _, line := range []string{"SET @k 1", "LPUSH @k x", "INCR @k", "NOSUCH", "GET @k"} {
				p.Do(ctx, c.words(line)...)
			}
			answers, err := p.Exec(ctx) // the first of the errors, which are in the answers too
			if len(answers) != 5 {
				return "", err
			}
			var said []string
			for _, answer := range answers {
				value, err := answer.(*redis.Cmd).Result()
				text, err := reading(value, err)
				if err != nil {
					return "", err
				}
				said = append(said, text)
			}
			return strings.Join(said, "; "), nil
		}),
		behaviour("blocking", "commands that wait, and wait in vain", func(ctx context.Context, c *client, _ parity.Target) (string, error) {
			began := time.Now()
			var said []string
			for _, line := range []string{
				"BLPOP @a @b 0.1", "BRPOPLPUSH @a @b 0.1", "BLMOVE @a @b LEFT RIGHT 0.1", "BZPOPMIN @z 0.1", "BLPOP @a -1",
				"BLPOP @a x", "RPUSH @b 1 2", "BLPOP @a @b 1", "BLMPOP 1 2 @a @b RIGHT", "SET @s v", "BLPOP @s 0.1",
			} {
				answer, err := c.do(ctx, line)
				if err != nil {
					return "", err
				}
				said = append(said, answer)
			}
			if time.Since(began) < 380*time.Millisecond {
				said = append(said, "they did not wait as long as they were told")
			}
			return strings.Join(said, "; "), nil
		}),
		behaviour("publish", "PUBLISH and SUBSCRIBE", publish),
		talk("subscribed", "commands while subscribed, RESP2", "SUBSCRIBE @c", "GET @k"),
		talk("streams", "streams",
			"XADD @s 1-1 f v", "XADD @s 1-1 f v", "XADD @s 0-0 f v", "XADD @s 1-* f w", "XADD @none NOMKSTREAM * f v", "XLEN @s",
			"XRANGE @s - + COUNT 1", "XREVRANGE @s + -", "XREAD COUNT 1 STREAMS @s 1-1", "XREAD BLOCK 50 STREAMS @s $",
			"XADD @s MAXLEN = 1 2-0 f x", "XLEN @s", "XTRIM @s MINID 3", "XDEL @s 2-0", "XINFO STREAM @none"),
		talk("stream-groups", "consumer groups of streams",
			"XGROUP CREATE @s g $", "XGROUP CREATE @s g $ MKSTREAM", "XGROUP CREATE @s g 0", "XADD @s 1-1 f v", "XADD @s 2-1 f w",
			"XREADGROUP GROUP g one COUNT 1 STREAMS @s >", "XREADGROUP GROUP g two STREAMS @s >", "XREADGROUP GROUP g two STREAMS @s >",
			"XREADGROUP GROUP g one STREAMS @s 0", "XPENDING @s g", "XACK @s g 1-1 9-9", "XCLAIM @s g one 0 2-1 JUSTID",
			"XAUTOCLAIM @s g two 0 0 JUSTID", "XREADGROUP GROUP none one STREAMS @s >", "XGROUP DESTROY @s g"),
		talk("client-names", "what a connection says of itself",
			"CLIENT GETNAME", "CLIENT SETNAME parity", "CLIENT GETNAME", "CLIENT SETNAME a,b", "CLIENT SETINFO LIB-NAME go-redis",
			"CLIENT SETINFO LIB-VER 9", "CLIENT SETINFO NOSUCH x", "CLIENT NO-EVICT on", "CLIENT TRACKING off", "RESET"),
		talk("hello", "protocol versions", "HELLO 4", "HELLO 1", "HELLO x"),
		behaviour("hello-fields", "what HELLO tells", func(ctx context.Context, c *client, _ parity.Target) (string, error) {
			answer, err := c.Hello(ctx, 2, "", "", "parity").Result()
			if err != nil {
				return reading(nil, err)
			}
			named, err := c.do(ctx, "CLIENT GETNAME")
			return fmt.Sprintf("server %v, proto %v, mode %v, role %v, named %s", answer["server"], answer["proto"], answer["mode"], answer["role"], named), err
		}),
		{ID: "redis/resp3", What: "types of RESP3", Run: func(ctx context.Context, t parity.Target) (string, error) {
			return withClient(t, 3, func(c *client) (string, error) {
				var said []string
				for _, line := range []string{
					"HSET @h a 1 b 2", "HGETALL @h", "ZADD @z 1.5 a 2 b", "ZRANGE @z 0 -1 WITHSCORES", "ZSCORE @z a",
					"ZADD @z INCR 1 a", "SADD @s x", "SMEMBERS @s", "GET @none", "HGETALL @none", "CONFIG GET maxmemory-policy",
					"XADD @x 1-1 f v", "XREAD STREAMS @x 0", "ZPOPMIN @z", "HRANDFIELD @h 2 WITHVALUES", "LPOP @none 2",
				} {
					answer, err := c.do(ctx, line)
					if err != nil {
						return "", err
					}
					said = append(said, answer)
				}
				answer, err := c.say(ctx, "EVAL", "redis.setresp(3); return {redis.call('HGETALL', KEYS[1]), {double=1.5}, true}", 1, c.prefix+"h")
				return strings.Join(append(said, answer), "; "), err
			})
		}},
		behaviour("reconnect", "CLIENT KILL ends a connection", func(ctx context.Context, c *client, t parity.Target) (string, error) {
			return withClient(t, 2, func(other *client) (string, error) {
				id, err := other.ClientID(ctx).Result()
				if err != nil {
					return reading(nil, err)
				}
				killed, err := c.say(ctx, "CLIENT", "KILL", "ID", id)
				if err != nil {
					return "", err
				}
				if err := other.Ping(ctx).Err(); err != nil {
					return killed + "; its connection is closed", nil
				}
				return killed + "; its connection is open", nil
			})
		}),
	}
}

func publish(ctx context.Context, c *client, t parity.Target) (string, error) {
	rdb := dial(t.URL, 2)
	defer rdb.Close()
	plain := rdb.Subscribe(ctx, c.prefix+"c")
	defer plain.Close()
	pattern := rdb.PSubscribe(ctx, c.prefix+"*")
	defer pattern.Close()
	for _, s := range []interface {
		Receive(context.Context) (any, error)
	}{plain, pattern} {
		if _, err := s.Receive(ctx); err != nil { // the confirmation
			return "", err
		}
	}
	var said []string
	for _, line := range []string{"PUBLISH @c 1", "PUBLISH @d 2", "PUBLISH @c 3", "PUBSUB NUMSUB @c @d", "PUBSUB CHANNELS @*"} {
		answer, err := c.do(ctx, line)
		if err != nil {
			return "", err
		}
		said = append(said, answer)
	}
	for _, want := range []int{2, 3} {
		s := plain
		if want == 3 {
			s = pattern
		}
		for range want {
			m, err := s.ReceiveMessage(ctx)
			if err != nil {
				return "", err
			}
			said = append(said, strings.ReplaceAll(m.Channel, c.prefix, "@")+"="+m.Payload)
		}
	}
	return strings.Join(said, "; "), nil
}
