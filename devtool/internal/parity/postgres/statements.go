package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/goldenpath/devtool/internal/parity"
)

// statements are what SQL there is and how it fails, in one session.
func statements() []parity.Behaviour {
	return []parity.Behaviour{
		sql("unique", "a unique key taken",
			"CREATE TABLE t (id int PRIMARY KEY, x text UNIQUE)", "INSERT INTO t VALUES (1, 'a')", "INSERT INTO t VALUES (1, 'b')",
			"INSERT INTO t VALUES (2, 'a')", "INSERT INTO t VALUES (3, null), (4, null)", "SELECT count(*) FROM t"),
		sql("foreign-key", "a foreign key that points nowhere",
			"CREATE TABLE p (id int PRIMARY KEY)", "CREATE TABLE c (id int REFERENCES p)", "INSERT INTO c VALUES (1)",
			"INSERT INTO p VALUES (1)", "INSERT INTO c VALUES (1)", "DELETE FROM p", "TRUNCATE p"),
		sql("deferred", "a deferred constraint fails the commit",
			"CREATE TABLE p (id int PRIMARY KEY)", "CREATE TABLE c (id int REFERENCES p DEFERRABLE INITIALLY DEFERRED)", "BEGIN",
			"INSERT INTO c VALUES (1)", "SELECT count(*) FROM c", "COMMIT", "SELECT count(*) FROM c"),
		sql("checks", "check, not null, exclusion and length",
			"CREATE TABLE t (n int CHECK (n > 0), x varchar(3) NOT NULL, during int4range, EXCLUDE USING gist (during WITH &&))",
			"INSERT INTO t VALUES (0, 'a')", "INSERT INTO t VALUES (1, null)", "INSERT INTO t VALUES (1, 'abcd')",
			"INSERT INTO t VALUES (1, 'a', '[1,5)'), (1, 'b', '[4,6)')", "SELECT 1 / 0"),
		sql("nulls-not-distinct", "unique keys that count nulls as equal",
			"CREATE TABLE t (x int UNIQUE NULLS NOT DISTINCT)", "INSERT INTO t VALUES (null), (null)"),
		sql("upsert", "ON CONFLICT",
			"CREATE TABLE t (id int PRIMARY KEY, n int)",
			"INSERT INTO t VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET n = t.n + 1 RETURNING n, xmax = 0",
			"INSERT INTO t VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET n = t.n + 1 RETURNING n, xmax = 0",
			"INSERT INTO t VALUES (1, 1) ON CONFLICT DO NOTHING RETURNING n",
			"INSERT INTO t VALUES (2, 1), (2, 2) ON CONFLICT (id) DO UPDATE SET n = 0",
			"INSERT INTO t VALUES (1, 1) ON CONFLICT (n) DO NOTHING"),
		sql("returning", "RETURNING of update and delete",
			"CREATE TABLE t (id int, n int)", "INSERT INTO t VALUES (1, 1), (2, 2) RETURNING id",
			"UPDATE t SET n = n * 10 WHERE id = 2 RETURNING n", "DELETE FROM t WHERE id = 1 RETURNING id, n"),
		sql("returning-old", "RETURNING of the row as it was",
			"CREATE TABLE t (n int)", "INSERT INTO t VALUES (1)", "UPDATE t SET n = 2 RETURNING old.n, new.n"),
		sql("merge", "MERGE",
			"CREATE TABLE t (id int PRIMARY KEY, n int)", "INSERT INTO t VALUES (1, 1)",
			"MERGE INTO t USING (VALUES (1), (2)) s(id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = 9 WHEN NOT MATCHED THEN INSERT VALUES (s.id, 0)",
			"SELECT * FROM t ORDER BY id"),
		sql("merge-returning", "MERGE … RETURNING",
			"CREATE TABLE t (id int)",
			"MERGE INTO t USING (VALUES (1)) s(id) ON t.id = s.id WHEN NOT MATCHED THEN INSERT VALUES (s.id) RETURNING merge_action(), t.id"),
		sql("generated", "generated and identity columns",
			"CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY, n int, twice int GENERATED ALWAYS AS (n * 2) STORED)",
			"INSERT INTO t (n) VALUES (4) RETURNING id, twice", "INSERT INTO t (id, n) VALUES (9, 4)", "UPDATE t SET twice = 1"),
		sql("json-functions", "JSON_TABLE, and constructors of the standard",
			"SELECT JSON_OBJECT('a' VALUE 1)", "SELECT '[1]' IS JSON ARRAY", `SELECT JSON_VALUE('{"a": 5}', '$.a')`,
			`SELECT x FROM JSON_TABLE('[1, 2]', '$[*]' COLUMNS (x int PATH '$'))`),
		sql("json-path", "queries into jsonb",
			`SELECT jsonb_path_query('{"a": [1, 2, 3]}', '$.a[*] ? (@ > 1)')`,
			`SELECT '{"a": {"b": 1}}'::jsonb @> '{"a": {}}', '{"a": 1}'::jsonb ? 'a', '{"a": {"b": 1}}'::jsonb #>> '{a,b}', ('{"a": 1}'::jsonb)['a']`),
		sql("any-value", "aggregate any_value", "SELECT any_value(x) FROM (VALUES (1), (1)) v(x)"),
		sql("random-range", "random(from, to)", "SELECT random(1, 1)"),
		sql("subquery-alias", "a subquery in FROM without a name", "SELECT x FROM (SELECT 1 AS x)"),
		sql("underscores", "numbers written 1_000 and 0xff", "SELECT 1_000, 0xff"),
		sql("savepoints", "savepoints",
			"CREATE TABLE t (n int PRIMARY KEY)", "BEGIN", "INSERT INTO t VALUES (1)", "SAVEPOINT a", "INSERT INTO t VALUES (1)",
			"SELECT 1", "ROLLBACK TO a", "INSERT INTO t VALUES (2)", "COMMIT", "SELECT count(*) FROM t"),
		sql("cursors", "cursors",
			"DECLARE c CURSOR FOR SELECT 1", "BEGIN", "DECLARE c CURSOR FOR SELECT generate_series(1, 5)", "FETCH 2 FROM c",
			"DECLARE h CURSOR WITH HOLD FOR SELECT 7", "COMMIT", "FETCH 1 FROM h", "FETCH 1 FROM c"),
		sql("read-only", "writing in a read-only transaction",
			"CREATE TABLE t (n int)", "BEGIN READ ONLY", "INSERT INTO t VALUES (1)", "ROLLBACK"),
		sql("ddl", "schema changes roll back, and concurrent indexes refuse a transaction",
			"BEGIN", "CREATE TABLE t (n int)", "ROLLBACK", "SELECT to_regclass('t')", "CREATE TABLE t (n int)", "BEGIN",
			"CREATE INDEX CONCURRENTLY ON t (n)", "ROLLBACK", "SELECT * FROM missing", "SELECT missing FROM t"),
		sql("sequences", "a sequence keeps what a rollback used",
			"CREATE TABLE t (id serial)", "BEGIN", "INSERT INTO t DEFAULT VALUES", "ROLLBACK", "INSERT INTO t DEFAULT VALUES RETURNING id"),
		sql("now", "now() in a transaction",
			"BEGIN", "CREATE TABLE t AS SELECT now() AS a, clock_timestamp() AS b",
			"SELECT now() = a, clock_timestamp() > b, now() <= clock_timestamp() FROM t", "COMMIT", "SELECT now() > a FROM t"),
		sql("partitions", "partitions, and a row that fits none",
			"CREATE TABLE t (n int) PARTITION BY RANGE (n)", "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10)",
			"INSERT INTO t VALUES (5)", "INSERT INTO t VALUES (50)", "SELECT tableoid::regclass FROM t"),
		sql("transaction-timeout", "setting transaction_timeout", "SET transaction_timeout = '1s'"),
		behaviour("notices", "notices and warnings", func(ctx context.Context, s *session, _ parity.Target) (string, error) {
			for _, statement := range []string{"DROP TABLE IF EXISTS missing", "COMMIT", "DO $$BEGIN RAISE NOTICE 'said %', 1; END$$"} {
				if _, err := s.say(ctx, statement); err != nil {
					return "", err
				}
			}
			return strings.Join(s.notices, "; "), nil
		}),
		behaviour("copy", "COPY in, out, and a row that does not fit", func(ctx context.Context, s *session, t parity.Target) (string, error) {
			if _, err := s.say(ctx, "CREATE TABLE t (id int PRIMARY KEY, x text)"); err != nil {
				return "", err
			}
			rows := [][]any{{int32(1), "a\tb\\"}, {int32(2), nil}}
			n, err := s.CopyFrom(ctx, pgx.Identifier{t.Name, "t"}, []string{"id", "x"}, pgx.CopyFromRows(rows))
			if err != nil {
				return "", err
			}
			var out strings.Builder
			if _, err := s.PgConn().CopyTo(ctx, &out, "COPY (SELECT * FROM t ORDER BY id) TO STDOUT"); err != nil {
				return "", err
			}
			_, err = s.CopyFrom(ctx, pgx.Identifier{t.Name, "t"}, []string{"id", "x"}, pgx.CopyFromRows(rows))
			refused, err := refusal(err)
			return fmt.Sprintf("%d; %q; %s", n, out.String(), refused), err
		}),
		behaviour("copy-on-error", "COPY that passes over bad rows", func(ctx context.Context, s *session, _ parity.Target) (string, error) {
			if _, err := s.say(ctx, "CREATE TABLE t (n int)"); err != nil {
				return "", err
			}
			_, err := s.PgConn().CopyFrom(ctx, strings.NewReader("1\nx\n"), "COPY t FROM STDIN (ON_ERROR ignore)")
			if err != nil {
				return refusal(err)
			}
			return s.say(ctx, "SELECT n FROM t")
		}),
		behaviour("failed-transaction", "going on after an error", func(ctx context.Context, s *session, _ parity.Target) (string, error) {
			tx, err := s.Begin(ctx)
			if err != nil {
				return "", err
			}
			_, err = tx.Exec(ctx, "SELECT 1 / 0")
			first, err := refusal(err)
			if err != nil {
				return "", err
			}
			_, err = tx.Exec(ctx, "SELECT 1")
			second, err := refusal(err)
			if err != nil {
				return "", err
			}
			err = tx.Commit(ctx)
			return fmt.Sprintf("%s; %s; commit is a rollback: %v", first, second, errors.Is(err, pgx.ErrTxCommitRollback)), nil
		}),
		behaviour("exec-modes", "pgx's five ways to run a query", execModes),
		behaviour("stale-plan", "a prepared statement whose table changed", func(ctx context.Context, s *session, _ parity.Target) (string, error) {
			if _, err := s.Exec(ctx, "CREATE TABLE t (n int)"); err != nil {
				return "", err
			}
			if _, err := s.Prepare(ctx, "all", "SELECT * FROM t"); err != nil {
				return "", err
			}
			if _, err := s.Exec(ctx, "ALTER TABLE t ADD x text"); err != nil {
				return "", err
			}
			_, err := s.Exec(ctx, "all")
			stale, err := refusal(err)
			if err != nil {
				return "", err
			}
			gone, err := s.say(ctx, "DEALLOCATE ALL; EXECUTE \"all\"")
			return stale + "; " + gone, err
		}),
		behaviour("cancel", "a query whose context ends", func(ctx context.Context, s *session, _ parity.Target) (string, error) {
			if _, err := s.Exec(ctx, "SET statement_timeout = '50ms'"); err != nil {
				return "", err
			}
			limited, err := s.say(ctx, "SELECT pg_sleep(30)")
			if err != nil {
				return "", err
			}
			short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancel()
			_, err = s.Exec(short, "SET statement_timeout = 0; SELECT pg_sleep(30)")
			return fmt.Sprintf("%s; ended with its context: %v; connection closed: %v", limited, errors.Is(err, context.DeadlineExceeded), s.IsClosed()), nil
		}),
	}
}

func execModes(ctx context.Context, s *session, _ parity.Target) (string, error) {
	var said []string
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		var n int64
		var at time.Time
		var list []string
		err := s.QueryRow(ctx, "SELECT $1::bigint + 1, $2::timestamptz, $3::text[]", mode, int64(41), time.Unix(0, 1000).UTC(), []string{"a", "b"}).Scan(&n, &at, &list)
		if err != nil {
			refused, err := refusal(err)
			if err != nil {
				return "", err
			}
			said = append(said, refused)
			continue
		}
		said = append(said, fmt.Sprint(n, " ", at.UnixMicro(), " ", list))
	}
	return strings.Join(said, "; "), nil
}
