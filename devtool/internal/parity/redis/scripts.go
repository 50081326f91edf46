package redis

import (
	"context"
	"crypto/sha1" //nolint:gosec // it is how Redis names scripts
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/goldenpath/devtool/internal/parity"
)

// lua is a behaviour of scripts that run one after the other. KEYS[1] is the
// behaviour's own, ARGV is 7, x.
func lua(name, what string, sources ...string) parity.Behaviour {
	return behaviour(name, what, func(ctx context.Context, c *client, _ parity.Target) (string, error) {
		var said []string
		for _, source := range sources {
			answer, err := c.say(ctx, "EVAL", source, 1, c.prefix+"k", 7, "x")
			if err != nil {
				return "", err
			}
			said = append(said, unnamed(answer, source))
		}
		return strings.Join(said, "; "), nil
	})
}

// attempt is a script that says whether an expression is true. What it needs may
// be missing.
func attempt(expression string) string {
	return "local ok, v = pcall(function() return " + expression + " end) return ok and v"
}

// unnamed takes the script's hash out of an error: it changes with each blank
// of the script.
func unnamed(answer, source string) string { return strings.ReplaceAll(answer, hash(source), "SHA") }

func hash(source string) string {
	sum := sha1.Sum([]byte(source)) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:])
}

// bucket is a limiter as services write them: the server's clock, arithmetic
// beyond 2^53/1000 and a time to live.
const bucket = `
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local tat = tonumber(redis.call('GET', KEYS[1]) or now)
if tat < now then tat = now end
local next = tat + tonumber(ARGV[1])
local early = next - tonumber(ARGV[2]) * tonumber(ARGV[1]) - now
if early > 0 then return {0, 0, early > 1e6} end
redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX', math.ceil((next - now) / 1000))
return {1, math.floor(-early / tonumber(ARGV[1])), tonumber(redis.call('GET', KEYS[1])) == next}
`

// scripts are what Lua can do in the server.
func scripts() []parity.Behaviour {
	return []parity.Behaviour{
		lua("lua-values", "Lua values as answers",
			"return 3.99", "return 'a'", "return {1, 'a', nil, 2}", "return true", "return false", "return {ok='FINE'}",
			"return {err='MINE bad'}", "return nil", "return {1, {2, 'x'}}", "return {a=1}", "return KEYS[1] ~= nil and ARGV[1] .. ARGV[2]",
			"return tostring(2^53 + 1)", "return -0.5"),
		lua("lua-calls", "answers of commands inside a script",
			"return redis.call('SET', KEYS[1], 'v')", "return redis.call('GET', KEYS[1])",
			"return redis.call('GET', 'none-of-' .. KEYS[1]) == false", "return redis.call('TTL', KEYS[1])",
			"redis.call('RPUSH', KEYS[1] .. 'l', 'a', 'b'); return redis.call('LRANGE', KEYS[1] .. 'l', 0, -1)",
			"return type(redis.call('TIME')[1])", "return redis.call('SET', KEYS[1], 'w', 'NX')", "return redis.call('PING').ok"),
		lua("lua-errors", "errors in a script",
			"return redis.call('SET', KEYS[1], 'v') and redis.call('LPUSH', KEYS[1], 'a')", "return redis.pcall('LPUSH', KEYS[1], 'a')",
			"return redis.pcall('LPUSH', KEYS[1], 'a').err", "return redis.call('NOSUCH')", "return redis.error_reply('MINE bad')",
			"return redis.error_reply('bad')", "error('thrown')", "this is no lua", "x = 1", "return y", "return redis.call('GET')",
			"return redis.call()", "redis.call('SET', KEYS[1], 'half'); error('after')"),
		lua("lua-libraries", "libraries that scripts may use",
			"return cjson.encode({a=1})", "return cjson.decode('[1, 2.5, null]')[2] == 2.5", "return cjson.encode({})",
			attempt("cmsgpack.unpack(cmsgpack.pack({1}))[1] == 1"), attempt("bit.band(6, 3) == 2"),
			attempt("struct.unpack('I', struct.pack('I', 9)) == 9"),
			"return redis.sha1hex('')", "return type(os)", "return math.floor(2.7) + #string.rep('a', 3)",
			"return type(redis.log) .. ' ' .. type(redis.setresp) .. ' ' .. type(redis.replicate_commands)",
			"return unpack({1, 2})", "return table.concat({'a', 'b'}, ',')", "return string.format('%.0f %d %s', 1e15, 3, 'x')"),
		behaviour("lua-blocking", "a command that waits, inside a script", func(ctx context.Context, c *client, _ parity.Target) (string, error) {
			const source = "return redis.call('BLPOP', KEYS[1], 1)"
			began := time.Now()
			answer, err := c.say(ctx, "EVAL", source, 1, c.prefix+"none")
			return fmt.Sprintf("%s; it waits: %v", unnamed(answer, source), time.Since(began) > 900*time.Millisecond), err
		}),
		behaviour("evalsha", "scripts by their hash", func(ctx context.Context, c *client, t parity.Target) (string, error) {
			source := "return '" + t.Name + "'"
			var said []string
			for _, args := range [][]any{
				{"EVALSHA", hash(source), 0}, {"SCRIPT", "EXISTS", hash(source)}, {"SCRIPT", "LOAD", source},
				{"EVALSHA", hash(source), 0}, {"EVALSHA", strings.ToUpper(hash(source)), 0},
				{"SCRIPT", "EXISTS", hash(source)}, {"SCRIPT", "LOAD", "no lua"}, {"EVAL", "return 1", 2, "a"}, {"EVAL", "return 1", -1},
				{"EVAL_RO", "return redis.call('SET', KEYS[1], 1)", 1, c.prefix + "k"},
			} {
				answer, err := c.say(ctx, args...)
				if err != nil {
					return "", err
				}
				said = append(said, unnamed(unnamed(answer, source), "return redis.call('SET', KEYS[1], 1)"))
			}
			return strings.Join(said, "; "), nil
		}),
		behaviour("script-run", "go-redis's Script.Run the first time and again", func(ctx context.Context, c *client, t parity.Target) (string, error) {
			script := redis.NewScript("return {KEYS[1], ARGV[1], '" + t.Name + "'}")
			var said []string
			for range 2 {
				answer, err := reading(script.Run(ctx, c, []string{c.prefix + "k"}, 1).Result())
				if err != nil {
					return "", err
				}
				said = append(said, strings.ReplaceAll(answer, c.prefix, "@"))
			}
			return strings.Join(said, "; "), nil
		}),
		behaviour("lua-limiter", "a rate limiter that runs in the server", func(ctx context.Context, c *client, _ parity.Target) (string, error) {
			var said []string
			for range 3 { // ten seconds a request, two at once
				answer, err := c.say(ctx, "EVAL", bucket, 1, c.prefix+"k", 10_000_000, 2)
				if err != nil {
					return "", err
				}
				said = append(said, answer)
			}
			left, err := c.PTTL(ctx, c.prefix+"k").Result()
			if left.Seconds() > 15 && left.Seconds() <= 20 {
				said = append(said, "the key lives as long as it must")
			}
			return strings.Join(said, "; "), err
		}),
		behaviour("lua-atomic", "a script sees nothing of others in between", func(ctx context.Context, c *client, t parity.Target) (string, error) {
			const source = "local a = redis.call('INCR', KEYS[1]); for i = 1, 200 do redis.call('GET', KEYS[1]) end; return redis.call('INCR', KEYS[1]) - a"
			other := dial(t.URL, 2)
			defer other.Close()
			over := make(chan error, 1)
			go func() {
				for range 100 {
					if err := other.Incr(ctx, c.prefix+"k").Err(); err != nil {
						over <- err
						return
					}
				}
				over <- nil
			}()
			said := map[string]bool{}
			for range 5 {
				answer, err := c.say(ctx, "EVAL", source, 1, c.prefix+"k")
				if err != nil {
					return "", err
				}
				said[answer] = true
			}
			err := <-over
			if len(said) == 1 && said["1"] {
				return "always 1", err
			}
			return "others came in between", err
		}),
	}
}
