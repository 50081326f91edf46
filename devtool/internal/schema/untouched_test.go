package schema

import "testing"

func TestUntouched(t *testing.T) {
	for _, c := range []struct {
		name, make string
		want       bool
	}{
		{"a database that was just created is", "", true},
		{"one with a table is not", "create table public.t (n int)", false},
		{"one with a view in a schema of its own is not", "create schema s; create view s.v as select 1", false},
		{"one with a function alone is not", "create function f() returns int language sql as 'select 1'", false},
		{"an empty schema makes no difference", "create schema s", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := shared.name()
			conn := connect(t, shared.AdminURL())
			if _, err := conn.Exec(t.Context(), "create database "+name); err != nil {
				t.Fatal(err)
			}
			if c.make != "" {
				if _, err := connect(t, shared.URL(name)).Exec(t.Context(), c.make); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := Untouched(t.Context(), shared.URL(name)); err != nil || got != c.want {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}
