package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"example.com/goldenpath/service/internal/domain/problem"
)

const (
	unreachable = "the database cannot be reached"
	silent      = "the database did not answer in time"

	hintWait     = "send the request again in a moment; if it lasts, see whether the database is running and DATABASE_URL points at it"
	hintSlow     = "send the request again in a moment; if it lasts, look for slow statements and held locks in the database"
	hintLogin    = "see whether DATABASE_URL names a database, a user and a password that the server knows"
	hintFull     = "send the request again in a moment; if it lasts, see whether the database is out of connections, memory or disk"
	hintSchema   = "the schema is missing or older than this build: run the migrations, then send the request again"
	hintConflict = "another request changed the same data at the same time: send the request again"
	hintFate     = "the change may or may not have been stored: read before you send it again"
)

// problemOf names what went wrong while doing something for the caller of ctx.
// A caller that left or ran out of time comes first: whatever the database then
// said was our own interruption. An error without a name stays as it is, and
// becomes problem.Internal on its way out.
func problemOf(ctx context.Context, doing string, err error) error {
	var named *problem.Error
	if err == nil || errors.As(err, &named) {
		return err
	}
	err = fmt.Errorf("%s: %w", doing, err)
	switch ctx.Err() {
	case context.Canceled:
		return problem.Wrap(err, problem.RequestCancelled, "the request was cancelled", "send the request again if its answer is still wanted")
	case context.DeadlineExceeded:
		return problem.Wrap(err, problem.RequestTimeout, "the request ran out of time", "send the request again in a moment, or with more time")
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return serverProblem(err, pg)
	}
	var network net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), pgconn.Timeout(err), errors.As(err, &network) && network.Timeout():
		return problem.Wrap(err, problem.DatabaseTimeout, silent, hintSlow)
	case broken(err):
		return problem.Wrap(err, problem.DatabaseUnavailable, unreachable, hintWait)
	}
	return err
}

// broken says that err is of a connection, or of the attempt to make one.
func broken(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.Is(err, errNoConnection) || errors.As(err, &connect) || errors.As(err, &network) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, pgconn.ErrConnClosed)
}

// serverProblem names an error by its SQLSTATE
// (https://www.postgresql.org/docs/15/errcodes-appendix.html).
func serverProblem(err error, pg *pgconn.PgError) error {
	unavailable := func(message, hint string) error {
		return problem.Wrap(err, problem.DatabaseUnavailable, message, hint)
	}
	switch pg.Code {
	case "57014", "55P03": // query_canceled (statement_timeout), lock_not_available
		return problem.Wrap(err, problem.DatabaseTimeout, silent, hintSlow)
	case "40001", "40P01": // serialization_failure, deadlock_detected
		return unavailable("the database undid the change in favour of another one", hintConflict)
	case "3D000", "57P04": // invalid_catalog_name, database_dropped
		return unavailable("the database does not exist", hintLogin)
	case "42P01", "42703", "3F000": // undefined_table, undefined_column, invalid_schema_name
		return unavailable("the database lacks the service's schema", hintSchema)
	case "25006": // read_only_sql_transaction: a standby, or a primary that stepped down
		return unavailable("the database takes no writes at present", hintWait)
	}
	switch class := pg.Code[:min(2, len(pg.Code))]; class {
	case "08", "57", "58": // connection_exception, operator_intervention, system_error
		return unavailable(unreachable, hintWait)
	case "28": // invalid_authorization_specification
		return unavailable("the database refused the service's login", hintLogin)
	case "53": // insufficient_resources, too_many_connections among them
		return unavailable("the database has no room for the request", hintFull)
	}
	if fatal(pg) {
		return unavailable(unreachable, hintWait)
	}
	return err
}

// commitProblem names the failure of a commit. What the server said itself is
// known to have been undone; a connection that broke, or a silence, leaves the
// fate of the change open.
func commitProblem(err error) error {
	err = fmt.Errorf("committing: %w", err)
	var pg *pgconn.PgError
	switch {
	case errors.Is(err, pgx.ErrTxCommitRollback):
		return err
	case errors.As(err, &pg) && !fatal(pg):
		return serverProblem(err, pg)
	case errors.Is(err, context.DeadlineExceeded), pgconn.Timeout(err):
		return problem.Wrap(err, problem.DatabaseTimeout, "the database did not confirm the change in time", hintFate)
	}
	return problem.Wrap(err, problem.DatabaseUnavailable, "the connection broke before the database confirmed the change", hintFate)
}

// fatal says that the server closed the connection with these words.
func fatal(pg *pgconn.PgError) bool {
	return pg.SeverityUnlocalized == "FATAL" || pg.SeverityUnlocalized == "PANIC"
}
