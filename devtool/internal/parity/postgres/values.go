package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"example.com/goldenpath/devtool/internal/parity"
)

// values are what comes back of what was put in.
func values() []parity.Behaviour {
	return []parity.Behaviour{
		behaviour("bigint", "integers beyond 2^53", func(ctx context.Context, s *session, _ parity.Target) (string, error) {
			var n int64
			if err := s.QueryRow(ctx, "SELECT $1::bigint", int64(9007199254740993)).Scan(&n); err != nil {
				return "", err
			}
			beyond, err := s.say(ctx, "SELECT 9223372036854775807 + 1")
			return fmt.Sprintf("%d; %s", n, beyond), err
		}),
		behaviour("timestamps", "nanoseconds of a time", func(ctx context.Context, s *session, _ parity.Target) (string, error) {
			var at time.Time
			err := s.QueryRow(ctx, "SELECT $1::timestamptz", time.Date(2026, 3, 29, 1, 30, 0, 123456789, time.UTC)).Scan(&at)
			return at.UTC().Format(time.RFC3339Nano), err
		}),
		behaviour("arrays", "arrays with and without nulls", func(ctx context.Context, s *session, _ parity.Target) (string, error) {
			var none []string
			var some []*string
			var found bool
			err := s.QueryRow(ctx, "SELECT '{}'::text[], ARRAY['a', null, 'c d'], 2 = ANY ($1::int[])", []int32{1, 2}).Scan(&none, &some, &found)
			if err != nil {
				return "", err
			}
			return fmt.Sprintf("%q %v; %q null:%v %q; %v", none, none == nil, *some[0], some[1] == nil, *some[2], found), nil
		}),
		behaviour("numeric", "decimal numbers", func(ctx context.Context, s *session, _ parity.Target) (string, error) {
			var n pgtype.Numeric
			if err := s.QueryRow(ctx, "SELECT 0.1::numeric + 0.2::numeric").Scan(&n); err != nil {
				return "", err
			}
			text, err := n.MarshalJSON()
			if err != nil {
				return "", err
			}
			more, err := s.say(ctx, "SELECT 1.10::numeric, 1::numeric / 3, round(2.5), round(2.5::float8), 'Infinity'::numeric, 'NaN'::numeric = 'NaN'")
			return string(text) + "; " + more, err
		}),
		sql("float", "floating point numbers",
			"SELECT 0.1::float8 + 0.2::float8, 1e23::float8, 'NaN'::float8 > 1e308", "SELECT 1e308::float8 * 10"),
		sql("uuid", "UUIDs, made and mistyped",
			"SELECT 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid", "SELECT substr(gen_random_uuid()::text, 15, 1)", "SELECT 'x'::uuid"),
		sql("uuid-v7", "whether uuidv7() is there", "SELECT substr(uuidv7()::text, 15, 1)"),
		sql("jsonb", "keys, numbers and escapes of jsonb",
			`SELECT '{"bb": 1, "a": 2, "bb": 3, "n": 9007199254740993.10, "e": 1e2}'::jsonb`, `SELECT '{"b":1, "a":2}'::json`,
			`SELECT '"\u0000"'::jsonb`, `SELECT '{"a": }'::jsonb`),
		sql("bytes", "bytea, and zero bytes in text",
			`SELECT '\x00ff'::bytea, length('\x00ff'::bytea)`, "SELECT chr(0)", `SELECT convert_from('\xff', 'UTF8')`),
		sql("time-arithmetic", "days, months and the change to summer time",
			"SET timezone = 'Europe/Berlin'",
			"SELECT '2026-03-29 02:30'::timestamptz, '2026-03-28 12:00'::timestamptz + '1 day', '2026-03-28 12:00'::timestamptz + '24 hours'",
			"SELECT '2026-01-31'::date + '1 month'::interval, '2026-03-01'::timestamptz - '2026-02-01'::timestamptz, 'infinity'::timestamptz"),
		sql("dates", "a date whose order is in doubt", "SELECT '01/02/2026'::date", "SELECT '31/12/2026'::date"),
		sql("intervals", "how intervals are written",
			"SELECT interval '14 months 40 days 90 minutes', justify_interval('40 days 25 hours')", "SELECT interval '-1.5 days'"),
		sql("order", "order of text",
			"SELECT string_agg(x, ' ' ORDER BY x) FROM unnest(ARRAY['b', 'A', 'a', 'B', 'ä', 'Z', '_', '-a', '10', '9', 'a b', 'ab']) x"),
		sql("order-c", "order of text by bytes",
			`SELECT string_agg(x, ' ' ORDER BY x COLLATE "C") FROM unnest(ARRAY['b', 'A', 'a', 'B', 'ä', 'Z', '_', '-a', '10', '9']) x`),
		sql("comparison", "text compared", "SELECT 'a' < 'B', 'a-b' < 'aa', 'é' < 'f', 'ab' < 'a c'"),
		sql("case", "upper and lower case beyond ASCII",
			"SELECT upper('äéß'), lower('ÄÉİ'), initcap('élan vital')", "SELECT 'ÄPFEL' ILIKE 'äpfel', 'É' ~* 'é'"),
		sql("characters", "lengths and classes of characters",
			"SELECT char_length('e' || chr(769)), char_length('👍🏽'), octet_length('👍'), char_length(normalize('e' || chr(769)))",
			`SELECT 'é' ~ '^\w$', 'é' ~ '^[[:alpha:]]$', '٣' ~ '^\d$', '中' ~ '^\w$'`),
		sql("search", "full text search without a named language", "SELECT to_tsvector('The foxes were jumping')"),
		sql("number-formats", "numbers and money by the locale",
			"SELECT to_char(1234567.5, '9G999G999D9'), to_char(12, 'L99')", "SELECT '12.5'::money"),
		sql("case-insensitive", "extension citext", "CREATE EXTENSION citext", "SELECT 'ÄB'::citext = 'äb', 'AB'::citext = 'ab'"),
		sql("trigrams", "extension pg_trgm", "CREATE EXTENSION pg_trgm", "SELECT show_trgm('Né'), 'word' % 'words'"),
		sql("prefix-index", "whether an index answers LIKE 'a%'",
			"CREATE TABLE t (x text PRIMARY KEY)", "INSERT INTO t SELECT 'k' || i FROM generate_series(1, 100) i",
			"SET enable_seqscan = off", "SET enable_bitmapscan = off", "EXPLAIN (COSTS off) SELECT count(*) FROM t WHERE x LIKE 'k1%'"),
	}
}
