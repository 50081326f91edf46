package redis

import (
	"context"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/goldenpath/devtool/internal/parity"
)

// commands are what single commands answer.
func commands() []parity.Behaviour {
	return []parity.Behaviour{
		behaviour("version", "the major version", func(ctx context.Context, c *client, _ parity.Target) (string, error) {
			info, err := c.Info(ctx, "server").Result()
			if err != nil {
				return reading(nil, err)
			}
			major, _, _ := strings.Cut(field(info, "redis_version"), ".")
			return major, nil
		}),
		behaviour("info", "fields of INFO that monitoring reads", func(ctx context.Context, c *client, _ parity.Target) (string, error) {
			info, err := c.Info(ctx).Result()
			if err != nil {
				return reading(nil, err)
			}
			var missing []string
			for _, name := range []string{
				"redis_version", "redis_mode", "uptime_in_seconds", "connected_clients", "blocked_clients", "used_memory",
				"maxmemory", "mem_fragmentation_ratio", "total_commands_processed", "instantaneous_ops_per_sec", "keyspace_hits",
				"keyspace_misses", "evicted_keys", "expired_keys", "role", "connected_slaves", "used_cpu_sys",
				"rdb_changes_since_last_save",
			} {
				if field(info, name) == "" {
					missing = append(missing, name)
				}
			}
			return "missing: " + strings.Join(missing, " "), nil
		}),
		behaviour("commands", "which commands are there", func(ctx context.Context, c *client, _ parity.Target) (string, error) {
			var missing []string
			for name := range strings.FieldsSeq(present) {
				// Without the arguments that they need, none of them changes anything.
				answer, err := c.do(ctx, strings.ReplaceAll(name, ".", " "))
				if err != nil {
					return "", err
				}
				if answer == "error ERR unknown command" || answer == "error ERR unknown subcommand" {
					missing = append(missing, strings.ReplaceAll(name, ".", " "))
				}
			}
			return "missing: " + strings.Join(missing, ", "), nil
		}),
		talk("persistence", "what is kept when the server ends", "CONFIG GET save", "CONFIG GET appendonly"),
		talk("eviction", "what happens when memory runs out", "CONFIG GET maxmemory", "CONFIG GET maxmemory-policy"),
		talk("databases", "numbered databases",
			"SET @k 0", "SELECT 1", "GET @k", "SELECT 16", "SELECT x", "SELECT 0", "GET @k", "MOVE @k 1", "EXISTS @k", "SELECT 1", "GET @k",
			"DEL @k"),
		talk("strings", "strings",
			"SET @k value", "GET @k", "APPEND @k +", "STRLEN @k", "GETRANGE @k -3 -1", "SETRANGE @k 8 x", "GETDEL @k", "GETDEL @k",
			"MSETNX @a 1 @b 2", "MSETNX @b 1 @c 2", "MGET @a @b @c", `SET @e ""`, "GET @e"),
		talk("set-options", "SET with NX, XX, GET, KEEPTTL and bad times",
			"SET @k a NX EX 60", "SET @k b NX", "SET @k c KEEPTTL", "~ TTL @k", "SET @k d XX GET", "TTL @k", "SET @new b XX",
			"SET @k v EX 0", "SET @k v EX x", "SET @k v NX XX", "SET @k v BOGUS", "SET @k v NX GET", "SETEX @k -1 v", "SETNX @k v"),
		talk("integers", "counters and their limits",
			"INCR @n", "INCRBY @n 41", "DECR @n", "SET @n 9223372036854775807", "INCR @n", "SET @n x", "INCR @n", "SET @n 1.5", "INCR @n",
			"INCRBYFLOAT @n 0.1", "INCRBYFLOAT @n 5.0e3", "INCRBYFLOAT @n x", "INCRBY @m 1.5"),
		talk("expiry", "setting and taking away times to live",
			"TTL @none", "SET @k v", "TTL @k", "EXPIRE @k 100", "EXPIRE @k 50 GT", "EXPIRE @k 50 LT", "EXPIRE @k 10 NX", "~ TTL @k",
			"PERSIST @k", "EXPIRE @k 10 XX", "EXPIRE @k x", "EXPIRE @k 10 BOGUS", "EXPIREAT @k 4102444800", "GETEX @k PERSIST", "TTL @k",
			"PEXPIRE @k 9223372036854775807", "EXISTS @k", "EXPIRE @k -1", "EXISTS @k", "EXPIRE @k 1"),
		// In a transaction no time passes: 11 is rounded, 10 is cut.
		talk("ttl-rounding", "TTL in seconds of what has milliseconds",
			"MULTI", "SET @k v PX 10400", "TTL @k", "SET @k v PX 10900", "TTL @k", "SET @k v PX 400", "TTL @k", "EXEC"),
		behaviour("expires", "keys are gone when their time is up", expires),
		talk("rename", "renaming keeps the time to live",
			"SET @a v EX 100", "RENAME @a @b", "~ TTL @b", "RENAME @a @b", "SET @c v", "RENAMENX @b @c", "COPY @b @d", "~ TTL @d",
			"COPY @b @d", "TYPE @d", "TYPE @none", "UNLINK @b @d", "TOUCH @c @d"),
		talk("wrong-type", "a command for another type",
			"LPUSH @k a", "GET @k", "INCR @k", "HSET @k f v", "SADD @k v", "ZADD @k 1 v", "XADD @k * f v", "SET @k v", "LPUSH @k a"),
		behaviour("mistakes", "the words for commands that are wrong", func(ctx context.Context, c *client, _ parity.Target) (string, error) {
			var said []string
			for _, line := range []string{"NOSUCH a b", "GET", "GET a b", "SET a", "HSET @h f", "CONFIG NOSUCH", "OBJECT NOSUCH", "ZADD @z x m", "LPOP @l -1", "EXPIRE @k"} {
				err := c.Do(ctx, c.words(line)...).Err()
				if _, refused := err.(redis.Error); !refused { //nolint:errorlint // nothing wraps it
					return "", err
				}
				said = append(said, strings.ReplaceAll(err.Error(), c.prefix, "@"))
			}
			return strings.Join(said, "; "), nil
		}),
		talk("hashes", "hashes",
			"HSET @h a 1 b 2", "HSET @h a 3", "HSETNX @h a 4", "HGET @h none", "HMGET @h a none", "HLEN @h", "HINCRBY @h a 2",
			"HINCRBY @h s x", "HINCRBYFLOAT @h a 0.5", "HINCRBY @h a 1", "HSTRLEN @h a", "HDEL @h a b", "EXISTS @h"),
		talk("hash-expiry", "times to live of single fields",
			"HSET @h a 1 b 2", "HEXPIREAT @h 4102444800 FIELDS 1 a", "HEXPIRETIME @h FIELDS 3 a b c", "HPERSIST @h FIELDS 1 a"),
		talk("lists", "lists",
			"RPUSH @l a b c d", "LPUSH @l z", "LRANGE @l 0 -1", "LPOP @l 2", "RPOPLPUSH @l @m", "LMOVE @l @m LEFT LEFT", "LRANGE @m 0 -1",
			"LPOS @m d", "LREM @m 0 d", "LINSERT @m BEFORE b x", "LSET @m 9 y", "LTRIM @m 1 0", "EXISTS @m", "LPOP @m", "LPOP @m 1",
			"LPUSHX @m v", "LMPOP 2 @m @l LEFT"),
		talk("sets", "sets",
			"SADD @s a b c a", "SISMEMBER @s a", "SMISMEMBER @s a z", "SCARD @s", "SREM @s a z", "SADD @t b z", "SINTER @s @t",
			"SINTERCARD 2 @s @t", "SDIFFSTORE @d @s @t", "SMEMBERS @d", "SPOP @d", "EXISTS @d", "SPOP @d", "SRANDMEMBER @d 2"),
		talk("sorted-sets", "sorted sets",
			"ZADD @z 1 a 2 b 2 aa", "ZADD @z GT CH 0 a 3 b", "ZADD @z NX 9 a", "ZADD @z XX INCR 0.5 a", "ZADD @z NX GT 1 a",
			"ZRANGE @z 0 -1 WITHSCORES", "ZRANGEBYSCORE @z (1.5 +inf LIMIT 0 1", "ZRANGE @z +inf -inf BYSCORE REV LIMIT 0 2",
			"ZREVRANGEBYSCORE @z 3 2 WITHSCORES", "ZCOUNT @z -inf (3", "ZSCORE @z none", "ZMSCORE @z a none", "ZRANK @z b", "ZRANK @z none",
			"ZRANGEBYSCORE @z x y", "ZREMRANGEBYSCORE @z -inf 2", "ZPOPMIN @z", "ZPOPMIN @z", "ZCARD @z"),
		talk("not-a-number", "scores that are no numbers", "ZADD @z nan x", "ZADD @y 1 a", "ZINCRBY @y nan a"),
		talk("scores", "how scores are written",
			"ZADD @z 0.1 a 1e20 b -0 c inf d 3.0 e 1234567890.123456789 f 1e-7 g", "ZRANGE @z 0 -1 WITHSCORES", "ZINCRBY @z 0.2 a"),
		talk("lexical", "sorted sets by member",
			"ZADD @z 0 b 0 a 0 B 0 aa", "ZRANGEBYLEX @z - +", "ZRANGEBYLEX @z [a (b", "ZRANGE @z [B + BYLEX LIMIT 1 1", "ZLEXCOUNT @z - [a",
			"ZRANGESTORE @y @z 0 1", "ZRANGE @y 0 -1", "ZUNION 2 @z @y WITHSCORES", "ZRANGEBYLEX @z a b"),
		talk("bits", "bitmaps and counting of distinct values",
			"SETBIT @b 7 1", "GETBIT @b 7", "BITCOUNT @b", "BITPOS @b 1", "BITFIELD @b INCRBY u8 0 255",
			"BITFIELD @b OVERFLOW SAT INCRBY u8 0 255", "PFADD @p a b c a", "PFCOUNT @p", "PFADD @p a"),
		talk("geo", "places",
			"GEOADD @g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania", "GEODIST @g Palermo Catania km",
			"GEOSEARCH @g FROMLONLAT 15 37 BYRADIUS 200 km ASC"),
		behaviour("scan", "SCAN finds every key", scan),
		talk("encodings", "how values are kept",
			"SET @a 1", "OBJECT ENCODING @a", "SET @b abc", "OBJECT ENCODING @b", "RPUSH @l a", "OBJECT ENCODING @l", "HSET @h f v",
			"OBJECT ENCODING @h", "SADD @s 1", "OBJECT ENCODING @s", "SADD @s a", "OBJECT ENCODING @s", "ZADD @z 1 a", "OBJECT ENCODING @z",
			"OBJECT ENCODING @none", "OBJECT REFCOUNT @b"),
		behaviour("dump", "DUMP and RESTORE", func(ctx context.Context, c *client, _ parity.Target) (string, error) {
			if _, err := c.do(ctx, "ZADD @z 1 a 2 b"); err != nil {
				return "", err
			}
			payload, err := c.Dump(ctx, c.prefix+"z").Result()
			if err != nil {
				return reading(nil, err)
			}
			var said []string
			for _, args := range [][]any{
				{"RESTORE", c.prefix + "y", "0", payload}, {"ZRANGE", c.prefix + "y", 0, -1}, {"RESTORE", c.prefix + "y", "0", payload},
				{"RESTORE", c.prefix + "y", "0", payload, "REPLACE"}, {"RESTORE", c.prefix + "x", "0", "garbage"},
			} {
				answer, err := c.say(ctx, args...)
				if err != nil {
					return "", err
				}
				said = append(said, answer)
			}
			return strings.Join(said, "; "), nil
		}),
		behaviour("binary", "large and binary values", func(ctx context.Context, c *client, _ parity.Target) (string, error) {
			value := strings.Repeat("\x00\r\n\xff", 1<<18)
			if _, err := c.say(ctx, "SET", c.prefix+"\x00k", value); err != nil {
				return "", err
			}
			got, err := c.Get(ctx, c.prefix+"\x00k").Result()
			if got != value {
				return "the value is not what it was", err
			}
			return "as it was", err
		}),
		talk("access", "users where none were set up", "AUTH secret", "AUTH default secret", "ACL WHOAMI"),
		behaviour("clock", "TIME moves on", func(ctx context.Context, c *client, _ parity.Target) (string, error) {
			first, err := c.Time(ctx).Result()
			if err != nil {
				return reading(nil, err)
			}
			err = parity.Until(ctx, func() (bool, error) {
				next, err := c.Time(ctx).Result()
				return next.After(first), err
			})
			off := time.Since(first).Abs() > time.Minute
			if off {
				return "more than a minute off", err
			}
			return "it does, and is near this machine's", err
		}),
	}
}

// present are the commands that clients and asynq use, and some that people
// reach for. A dot stands between a command and its subcommand.
const present = `append bitfield bitop bitpos blmove blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin client.getname client.id client.info
	client.kill client.list client.no-evict client.no-touch client.pause client.reply client.setinfo client.setname client.tracking client.unpause cluster.info cluster.slots
	config.get config.set copy decrby dump eval eval_ro evalsha evalsha_ro expire expireat expiretime fcall function.delete function.load geoadd geosearch
	getbit getdel getex getrange getset hdel hexpire hget hgetdel hgetex hincrby hmget hpexpire hrandfield hscan hset hsetex hstrlen httl incrby incrbyfloat
	lcs linsert lmove lmpop lpos lrem lset ltrim memory.usage migrate msetnx object.encoding object.freq object.idletime pexpire pexpiretime pfadd pfmerge psetex
	psubscribe pttl publish pubsub.channels pubsub.numsub rename renamenx restore rpoplpush scan script.exists script.load sdiffstore setbit setrange sinter sintercard
	slowlog.get smismember smove sort sort_ro spop spublish srandmember sscan ssubscribe substr sunionstore swapdb touch type unlink wait waitaof xack xadd xautoclaim xclaim
	xdel xgroup.create xinfo.stream xlen xpending xrange xread xreadgroup xrevrange xsetid xtrim zadd zdiff zinter zintercard zmpop zmscore zpopmax zpopmin zrandmember
	zrangebylex zrangebyscore zrangestore zremrangebylex zscan zunion`

func field(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			return value
		}
	}
	return ""
}

// expires looks at a key until it is gone. The bounds are wide: it is about a
// clock that moves, not about milliseconds.
func expires(ctx context.Context, c *client, _ parity.Target) (string, error) {
	const life = 300 * time.Millisecond
	began := time.Now()
	if err := c.Set(ctx, c.prefix+"k", "v", life).Err(); err != nil {
		return "", err
	}
	left, err := c.PTTL(ctx, c.prefix+"k").Result()
	if err != nil {
		return "", err
	}
	if left <= 0 || left > life {
		return "PTTL is not what was set", nil
	}
	err = parity.Until(ctx, func() (bool, error) {
		n, err := c.Exists(ctx, c.prefix+"k").Result()
		return n == 0, err
	})
	if err != nil {
		return "", err
	}
	if took := time.Since(began); took < life-50*time.Millisecond {
		return "gone too early", nil
	} else if took > life+2*time.Second {
		return "gone too late", nil
	}
	return "gone in time", nil
}

func scan(ctx context.Context, c *client, _ parity.Target) (string, error) {
	var args []any
	args = append(args, "MSET")
	for i := range 100 {
		args = append(args, c.prefix+strings.Repeat("k", i+1), i)
	}
	if _, err := c.say(ctx, args...); err != nil {
		return "", err
	}
	seen := map[string]bool{}
	keys := c.Scan(ctx, 0, c.prefix+"*", 7).Iterator()
	for keys.Next(ctx) {
		seen[keys.Val()] = true
	}
	if err := keys.Err(); err != nil {
		return "", err
	}
	lists, err := c.say(ctx, "SCAN", "0", "MATCH", c.prefix+"*", "TYPE", "list", "COUNT", "100000")
	if err != nil {
		return "", err
	}
	bad, err := c.do(ctx, "SCAN x")
	text := "all of them"
	if len(seen) != 100 {
		text = "not all of them"
	}
	return text + "; " + lists + "; " + bad, err
}
