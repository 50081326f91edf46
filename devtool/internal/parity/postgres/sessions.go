package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"example.com/goldenpath/devtool/internal/parity"
)

// play is a behaviour of several sessions that take turns. A turn is
// "a: statement"; sessions are named by letters. A statement that waits for
// another session's lock leaves the turn to the next, and its answer is in the
// observation where it comes; with "a!: statement" the turn waits for it, too.
// Within a letter turns are in order.
func play(name, what string, turns ...string) parity.Behaviour {
	return parity.Behaviour{ID: "postgres/" + name, What: what, Run: func(ctx context.Context, t parity.Target) (string, error) {
		watcher, err := connect(ctx, t)
		if err != nil {
			return "", err
		}
		defer watcher.leave()
		p := &stage{watcher: watcher, actors: map[string]*actor{}}
		defer p.leave()
		for _, turn := range turns {
			letter, statement, _ := strings.Cut(turn, ": ")
			letter, whole := strings.CutSuffix(letter, "!")
			if err := p.turn(ctx, t, letter, statement, whole); err != nil {
				return "", err
			}
		}
		for letter, a := range p.actors {
			if a.waiting != nil {
				return "", fmt.Errorf("session %s still waits when the turns are over", letter)
			}
		}
		return strings.Join(p.said, "; "), nil
	}}
}

type stage struct {
	watcher *session
	actors  map[string]*actor
	said    []string
}

type actor struct {
	*session
	waiting chan reply // nil: its turn
}

type reply struct {
	text string
	err  error
}

func (p *stage) leave() {
	for _, a := range p.actors {
		a.leave()
		if a.waiting != nil {
			<-a.waiting // the closed connection ends it
		}
	}
}

func (p *stage) turn(ctx context.Context, t parity.Target, letter, statement string, whole bool) error {
	a := p.actors[letter]
	if a == nil {
		s, err := connect(ctx, t)
		if err != nil {
			return err
		}
		a = &actor{session: s}
		p.actors[letter] = a
	}
	if a.waiting != nil {
		// It was let go by an earlier turn, or it is deadlocked and will be.
		if err := p.take(letter, a, <-a.waiting); err != nil {
			return err
		}
	}
	pid := a.PgConn().PID()
	answers := make(chan reply, 1)
	go func() {
		text, err := a.say(ctx, statement)
		answers <- reply{text, err}
	}()
	a.waiting = answers
	if whole {
		return p.take(letter, a, <-answers)
	}
	done := false
	err := parity.Until(ctx, func() (bool, error) {
		select {
		case r := <-answers:
			done = true
			return true, p.take(letter, a, r)
		default:
		}
		return p.watcher.seesWaiting(ctx, pid)
	})
	if err != nil || done {
		return err
	}
	p.said = append(p.said, letter+" waits")
	return nil
}

// seesWaiting says whether the server process pid waits for a lock.
func (s *session) seesWaiting(ctx context.Context, pid uint32) (bool, error) {
	var waits bool
	err := s.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pid = $1)", pid).Scan(&waits)
	return waits, err
}

func (p *stage) take(letter string, a *actor, r reply) error {
	a.waiting = nil
	if r.text != "" {
		p.said = append(p.said, letter+" "+r.text)
	}
	return r.err
}

const account = "w: CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0), (2, 0), (3, 0)"

// sessions are what transactions see of one another.
func sessions() []parity.Behaviour {
	return []parity.Behaviour{
		play("read-committed", "an update that waited sees the other's",
			account, "a: BEGIN", "b: BEGIN", "a: UPDATE t SET n = n + 1 WHERE id = 1", "b: UPDATE t SET n = n + 1 WHERE id = 1",
			"a: COMMIT", "b: COMMIT", "w: SELECT n FROM t WHERE id = 1"),
		play("repeatable-read", "an update of what changed since the snapshot",
			account, "a: BEGIN ISOLATION LEVEL REPEATABLE READ", "a: SELECT n FROM t WHERE id = 1", "b: UPDATE t SET n = 5 WHERE id = 1",
			"a: SELECT n FROM t WHERE id = 1", "a: UPDATE t SET n = n + 1 WHERE id = 1", "a: ROLLBACK"),
		play("serializable", "write skew",
			account, "a: BEGIN ISOLATION LEVEL SERIALIZABLE", "b: BEGIN ISOLATION LEVEL SERIALIZABLE", "a: SELECT sum(n) FROM t",
			"b: SELECT sum(n) FROM t", "a: UPDATE t SET n = 1 WHERE id = 1", "b: UPDATE t SET n = 1 WHERE id = 2", "a: COMMIT", "b: COMMIT"),
		play("lock-timeout", "a lock that does not come in time",
			account, "a: BEGIN", "a: SELECT n FROM t WHERE id = 1 FOR UPDATE", "b: SET lock_timeout = '50ms'",
			"b!: SELECT n FROM t WHERE id = 1 FOR UPDATE", "b: SELECT n FROM t WHERE id = 2 FOR UPDATE NOWAIT",
			"b: SELECT n FROM t WHERE id = 1 FOR UPDATE NOWAIT"),
		play("skip-locked", "SKIP LOCKED",
			account, "a: BEGIN", "a: SELECT id FROM t ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED",
			"b: SELECT id FROM t ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED", "a: COMMIT",
			"b: SELECT id FROM t ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"),
		play("queue", "who waits first goes first",
			account, "a: BEGIN; SELECT n FROM t WHERE id = 1 FOR UPDATE", "b: UPDATE t SET n = n * 10 + 1 WHERE id = 1",
			"c: UPDATE t SET n = n * 10 + 2 WHERE id = 1", "a: COMMIT", "b: SELECT 'b'", "c: SELECT n FROM t WHERE id = 1"),
		play("recheck", "a row that no longer matches after the wait",
			account, "a: BEGIN", "a: UPDATE t SET n = 9 WHERE id = 1", "b: UPDATE t SET n = 1 WHERE n = 0 RETURNING id", "a: COMMIT",
			"b: SELECT count(*) FROM t WHERE n = 1"),
		play("share", "FOR SHARE, FOR KEY SHARE and foreign keys",
			account, "a: BEGIN", "a: SELECT n FROM t WHERE id = 1 FOR SHARE", "b: SELECT n FROM t WHERE id = 1 FOR SHARE NOWAIT",
			"b: SELECT n FROM t WHERE id = 1 FOR KEY SHARE NOWAIT", "b: SELECT n FROM t WHERE id = 1 FOR UPDATE NOWAIT"),
		play("upsert-race", "two inserts of one key",
			account, "a: BEGIN", "a: INSERT INTO t VALUES (9, 1)", "b: INSERT INTO t VALUES (9, 2) ON CONFLICT DO NOTHING RETURNING n",
			"a: ROLLBACK", "b: SELECT n FROM t WHERE id = 9"),
		play("unique-race", "two inserts of one key, the first commits", account,
			"a: BEGIN", "a: INSERT INTO t VALUES (9, 1)", "b: INSERT INTO t VALUES (9, 2)", "a: COMMIT", "b: SELECT n FROM t WHERE id = 9"),
		play("ddl-lock", "a schema change waits for readers, and readers for it",
			account, "a: BEGIN", "a: SELECT n FROM t WHERE id = 1", "b: ALTER TABLE t ADD x int", "c: SELECT n FROM t WHERE id = 1",
			"a: COMMIT", "b: SELECT 'changed'", "c: SELECT 'read'"),
		play("idle-in-transaction", "a transaction that is left idle", account,
			"a: SET idle_in_transaction_session_timeout = '50ms'", "a: BEGIN", "w: SELECT pg_sleep(0.2) IS NOT NULL", "a: SELECT 1"),
		behaviour("deadlock", "two that wait for one another", deadlock),
		behaviour("advisory-locks", "advisory locks of sessions and transactions", advisoryLocks),
		behaviour("terminated", "a session that is ended by another", func(ctx context.Context, s *session, t parity.Target) (string, error) {
			other, err := connect(ctx, t)
			if err != nil {
				return "", err
			}
			defer other.leave()
			if _, err := s.Exec(ctx, "SELECT pg_terminate_backend($1)", other.PgConn().PID()); err != nil {
				return "", err
			}
			var said string
			err = parity.Until(ctx, func() (bool, error) { // the signal is on its way
				answer, err := other.say(ctx, "SELECT 1")
				said = answer
				return answer != "1", err
			})
			return said, err
		}),
		behaviour("notify", "LISTEN and NOTIFY", notify),
		behaviour("template", "copies of a database", func(ctx context.Context, s *session, t parity.Target) (string, error) {
			var said []string
			for _, statement := range []string{
				"CREATE DATABASE " + t.Name + " TEMPLATE template0", "CREATE DATABASE " + t.Name + "_copy TEMPLATE " + t.Name + "",
				"SELECT datname FROM pg_database WHERE datname LIKE '" + t.Name + "%' ORDER BY 1", "CREATE DATABASE " + t.Name + "_x TEMPLATE missing",
				"ALTER DATABASE " + t.Name + " RENAME TO " + t.Name + "_copy", "BEGIN; CREATE DATABASE " + t.Name + "_y; COMMIT", "ROLLBACK",
			} {
				answer, err := s.say(ctx, statement)
				if err != nil {
					return "", err
				}
				said = append(said, answer)
			}
			return strings.Join(said, "; "), nil
		}),
		behaviour("logical-slot", "a logical replication slot", func(ctx context.Context, s *session, t parity.Target) (string, error) {
			made, err := s.say(ctx, "SELECT slot_name FROM pg_create_logical_replication_slot('"+t.Name+"', 'test_decoding')")
			if err != nil {
				return "", err
			}
			_, err = s.say(ctx, "SELECT pg_drop_replication_slot('"+t.Name+"')")
			return made, err
		}),
	}
}

// deadlock: the victim is the one whose deadlock_timeout is over first, so the
// timers are far apart.
func deadlock(ctx context.Context, s *session, t parity.Target) (string, error) {
	if _, err := s.say(ctx, "CREATE TABLE t AS SELECT 1 AS id"); err != nil {
		return "", err
	}
	other, err := connect(ctx, t)
	if err != nil {
		return "", err
	}
	defer other.leave()
	for _, step := range []struct {
		s         *session
		statement string
	}{
		{s, "SET deadlock_timeout = '1min'; BEGIN; SELECT pg_advisory_xact_lock(hashtext(current_schema), 1)"},
		{other, "SET deadlock_timeout = '20ms'; BEGIN; SELECT pg_advisory_xact_lock(hashtext(current_schema), 2)"},
	} {
		if _, err := step.s.Exec(ctx, step.statement, pgx.QueryExecModeSimpleProtocol); err != nil {
			return "", err
		}
	}
	survivor := make(chan reply, 1)
	go func() {
		text, err := s.say(ctx, "SELECT pg_advisory_xact_lock(hashtext(current_schema), 2) IS NOT NULL")
		survivor <- reply{text, err}
	}()
	// PostgreSQL looks for a deadlock once in a wait, so the other waits first.
	pid := s.PgConn().PID()
	if err := parity.Until(ctx, func() (bool, error) { return other.seesWaiting(ctx, pid) }); err != nil {
		return "", err
	}
	victim, err := other.say(ctx, "SELECT pg_advisory_xact_lock(hashtext(current_schema), 1)")
	other.leave() // lets the survivor go, whatever happened
	r := <-survivor
	if err == nil {
		err = r.err
	}
	return victim + "; the other goes on: " + r.text, err
}

func advisoryLocks(ctx context.Context, s *session, t parity.Target) (string, error) {
	other, err := connect(ctx, t)
	if err != nil {
		return "", err
	}
	defer other.leave()
	var said []string
	for _, step := range []struct {
		s         *session
		statement string
	}{
		{other, "SELECT pg_try_advisory_lock(hashtext(current_schema))"},
		{other, "SELECT pg_try_advisory_lock(hashtext(current_schema))"},
		{s, "SELECT pg_try_advisory_lock(hashtext(current_schema))"},
		{other, "SELECT pg_advisory_unlock(hashtext(current_schema))"},
		{s, "SELECT pg_try_advisory_lock(hashtext(current_schema))"},
		{s, "SELECT pg_advisory_unlock(hashtext(current_schema))"},
	} {
		answer, err := step.s.say(ctx, step.statement)
		if err != nil {
			return "", err
		}
		said = append(said, answer)
	}
	other.leave()
	err = parity.Until(ctx, func() (bool, error) {
		answer, err := s.say(ctx, "SELECT pg_try_advisory_lock(hashtext(current_schema))")
		return answer == "t", err
	})
	return strings.Join(said, " ") + "; free once its session is gone", err
}

func notify(ctx context.Context, s *session, t parity.Target) (string, error) {
	other, err := connect(ctx, t)
	if err != nil {
		return "", err
	}
	defer other.leave()
	if _, err := s.say(ctx, "LISTEN "+t.Name); err != nil {
		return "", err
	}
	for _, statement := range []string{
		"BEGIN", "NOTIFY " + t.Name + ", 'lost'", "ROLLBACK",
		"BEGIN", "NOTIFY " + t.Name + ", 'b'", "NOTIFY " + t.Name + ", 'a'", "NOTIFY " + t.Name + ", 'b'", "COMMIT",
	} {
		if _, err := other.say(ctx, statement); err != nil {
			return "", err
		}
	}
	long, err := other.say(ctx, "SELECT pg_notify('"+t.Name+"', repeat('x', 8000))")
	if err != nil {
		return "", err
	}
	if _, err := other.say(ctx, "NOTIFY "+t.Name+", 'last'"); err != nil {
		return "", err
	}
	var got []string
	for len(got) == 0 || got[len(got)-1] != "last" {
		n, err := s.WaitForNotification(ctx)
		if err != nil {
			return "", err
		}
		got = append(got, n.Payload)
	}
	return strings.Join(got, " ") + "; " + long, nil
}
