package seeds

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// identifier is a table's name, with its schema if it has one.
func identifier(name string) pgx.Identifier { return strings.Split(name, ".") }

// columnType is what a column of the database can take and how its values are
// read in canonical form.
type columnType struct {
	name   string // as format_type gives it, without a length
	enum   bool
	expect string // SQL expression; %s is the column
}

// canonicalSQL reads a column of a type in canonical form; empty when the type
// has none.
func canonicalSQL(typ string, enum bool) string {
	if enum {
		return "%s::text"
	}
	switch typ {
	case "text", "character varying", "citext", "uuid", "smallint", "integer", "bigint", "boolean",
		"real", "double precision":
		return "%s::text"
	case "numeric":
		return "trim_scale(%s)::text"
	case "timestamp with time zone":
		return `to_char(%s AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`
	case "timestamp without time zone":
		return `to_char(%s, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`
	}
	return ""
}

// types looks the columns of a table up in the database and checks that the
// profile fits.
func (p *Profile) types(ctx context.Context, conn *pgx.Conn, t *table) (map[string]columnType, error) {
	rows, err := conn.Query(ctx, `SELECT a.attname, format_type(a.atttypid, NULL), y.typtype = 'e'
		FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
		WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped`, identifier(t.name).Sanitize())
	if err != nil {
		return nil, fmt.Errorf("look at table %s: %w", t.name, err)
	}
	types := map[string]columnType{}
	var names []string
	var name string
	var typ columnType
	_, err = pgx.ForEachRow(rows, []any{&name, &typ.name, &typ.enum}, func() error {
		typ.expect = canonicalSQL(typ.name, typ.enum)
		types[name] = typ
		names = append(names, name)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look at table %s: %w", t.name, err)
	}
	if len(types) == 0 {
		return nil, &Error{File: p.path, Text: fmt.Sprintf("the database has no table %s", t.name),
			Hint: "are the migrations applied?"}
	}
	for _, c := range t.written() {
		typ, ok := types[c.name]
		if !ok {
			hint := ""
			if near, found := nearest(c.name, names); found {
				hint = "did you mean " + near + "?"
			}
			return nil, &Error{File: p.path, Text: fmt.Sprintf("table %s has no column %s", t.name, c.name), Hint: hint}
		}
		if typ.expect == "" {
			return nil, &Error{File: p.path, Text: fmt.Sprintf("column %s.%s is of type %s, for which there is no canonical form", t.name, c.name, typ.name),
				Hint: "leave the column to its default"}
		}
		if typ.enum {
			// pgx can encode an enum only once it has been told of it.
			loaded, err := conn.LoadType(ctx, typ.name)
			if err != nil {
				return nil, fmt.Errorf("look at type %s: %w", typ.name, err)
			}
			conn.TypeMap().RegisterType(loaded)
		}
	}
	return types, nil
}

// encode turns a value into what pgx can send to a column of this type.
func (t columnType) encode(v any) any {
	if t.name == "text" || t.name == "character varying" || t.name == "citext" || t.enum {
		if text, ok := canonical(v); ok {
			return text
		}
		return nil
	}
	if id, ok := v.(uuid); ok {
		return [16]byte(id)
	}
	return v
}

// normal is the canonical form of what the database says where SQL alone does
// not make it.
func (t columnType) normal(text string) string {
	bits := 64
	switch t.name {
	case "real":
		bits = 32
	case "double precision":
	default:
		return text
	}
	f, err := strconv.ParseFloat(text, bits)
	if err != nil {
		return text
	}
	return strconv.FormatFloat(f, 'f', -1, bits)
}

// SQLSTATEs (PostgreSQL documentation, appendix A).
const (
	lockNotAvailable = "55P03"
	notSupported     = "0A000" // TRUNCATE of a table that others refer to
)

// explain adds the next step to an error of the server.
func explain(err error) error {
	var answer *pgconn.PgError
	if !errors.As(err, &answer) {
		return err
	}
	hint := ""
	switch {
	case answer.Code == lockNotAvailable:
		hint = "another session holds the table in an open transaction; end it and try again"
	case answer.Code == notSupported && strings.Contains(answer.Message, "truncate"):
		hint = "add the table that refers to it to the profile, with rows: 0 if need be"
	case answer.Detail != "":
		hint = answer.Detail
	}
	return &Error{Text: "the database refuses", Hint: hint, Cause: err}
}
