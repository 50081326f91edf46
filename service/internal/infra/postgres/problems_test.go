package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"example.com/goldenpath/service/internal/domain/problem"
)

func sqlstate(code string) error {
	return &pgconn.PgError{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: code}
}

func TestProblemOf(t *testing.T) {
	fatal := &pgconn.PgError{SeverityUnlocalized: "FATAL", Code: "XX000"}
	cases := []struct {
		name string
		err  error
		want problem.Code
	}{
		{"connection refused", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, problem.DatabaseUnavailable},
		{"connection reset", &net.OpError{Op: "read", Err: syscall.ECONNRESET}, problem.DatabaseUnavailable},
		{"end of file", io.ErrUnexpectedEOF, problem.DatabaseUnavailable},
		{"closed connection", pgconn.ErrConnClosed, problem.DatabaseUnavailable},
		{"an i/o timeout", &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, problem.DatabaseTimeout},
		{"our own deadline", context.DeadlineExceeded, problem.DatabaseTimeout},
		{"a fatal error of any code", fatal, problem.DatabaseUnavailable},
		{"an error without a name", errors.New("something"), problem.Internal},
		{"a unique violation", sqlstate("23505"), problem.Internal},
		{"an SQLSTATE that is none", sqlstate(""), problem.Internal},
	}
	for _, code := range []string{
		"08000", "08006", "57P01", "57P02", "57P03", "57P04", "57P05", "53000", "53100", "53200", "53300", "58030",
		"28000", "28P01", "3D000", "42P01", "42703", "3F000", "25006", "40001", "40P01",
	} {
		cases = append(cases, struct {
			name string
			err  error
			want problem.Code
		}{"SQLSTATE " + code, sqlstate(code), problem.DatabaseUnavailable})
	}
	for _, code := range []string{"57014", "55P03"} {
		cases = append(cases, struct {
			name string
			err  error
			want problem.Code
		}{"SQLSTATE " + code, sqlstate(code), problem.DatabaseTimeout})
	}
	for _, c := range cases {
		t.Run(fmt.Sprintf("%s is %s", c.name, c.want), func(t *testing.T) {
			err := problemOf(t.Context(), "testing", c.err)
			p := problem.From(err)
			if p.Code != c.want {
				t.Errorf("the code is %s", p.Code)
			}
			if p.Hint == "" || p.Message == "" {
				t.Errorf("there is no hint or message: %+v", p)
			}
			if !errors.Is(err, c.err) {
				t.Error("the cause is lost")
			}
		})
	}
	t.Run("a problem that has its name keeps it", func(t *testing.T) {
		named := problem.New(problem.NoteNotFound, "m", "h")
		if err := problemOf(t.Context(), "testing", named); err != error(named) { //nolint:errorlint // the very same one
			t.Errorf("it became %v", err)
		}
	})
	t.Run("no error is none", func(t *testing.T) {
		if err := problemOf(t.Context(), "testing", nil); err != nil {
			t.Errorf("it became %v", err)
		}
	})
}

func TestCommitProblem(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want problem.Code
		open bool // whether the change may have been stored
	}{
		{"a connection that broke", io.EOF, problem.DatabaseUnavailable, true},
		{"silence", context.DeadlineExceeded, problem.DatabaseTimeout, true},
		{"a server that went down meanwhile", &pgconn.PgError{SeverityUnlocalized: "FATAL", Code: "57P01"}, problem.DatabaseUnavailable, true},
		{"a conflict that the server found", sqlstate("40001"), problem.DatabaseUnavailable, false},
		{"a transaction that had failed before", pgx.ErrTxCommitRollback, problem.Internal, false},
	} {
		t.Run(fmt.Sprintf("%s is %s", c.name, c.want), func(t *testing.T) {
			p := problem.From(commitProblem(c.err))
			if p.Code != c.want || (p.Hint == hintFate) != c.open {
				t.Errorf("it is %+v", p)
			}
		})
	}
}
