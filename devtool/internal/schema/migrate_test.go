package schema

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/goldenpath/devtool/internal/console"
)

func TestDigest(t *testing.T) {
	base := map[string]string{"1_a.up.sql": "select 1;", "1_a.down.sql": "select 2;", "2_b.up.sql": "select 3;"}
	digest := func(t *testing.T, change map[string]string) string {
		t.Helper()
		files := map[string]string{}
		for name, content := range base {
			files[name] = content
		}
		for name, content := range change {
			files[name] = content
		}
		d, err := migrations(t, files).Digest()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	same := digest(t, nil)
	for name, change := range map[string]map[string]string{
		"a down migration":      {"1_a.down.sql": "other"},
		"an editor's back-up":   {"1_a.up.sql~": "other", ".1_a.up.sql.swp": "x"},
		"a file of another use": {"README.md": "other"},
	} {
		t.Run(name+" does not count", func(t *testing.T) {
			if digest(t, change) != same {
				t.Error("the digest changed")
			}
		})
	}
	for name, change := range map[string]map[string]string{
		"the text of an up migration": {"2_b.up.sql": "select 4;"},
		"one more":                    {"3_c.up.sql": ""},
		"another name":                {"2_b.up.sql": "select 3;", "2_b2.down.sql": "", "4_b.up.sql": "select 3;"},
	} {
		t.Run(name+" counts", func(t *testing.T) {
			if digest(t, change) == same {
				t.Error("the digest did not change")
			}
		})
	}
	t.Run("a folder that is not there is an error", func(t *testing.T) {
		if _, err := (Source{Dir: filepath.Join(t.TempDir(), "none")}).Digest(); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("error %v", err)
		}
	})
}

func TestMigrate(t *testing.T) {
	ctx := t.Context()

	t.Run("all files are applied in order, and again nothing is", func(t *testing.T) {
		url := shared.database(t)
		src := migrations(t, map[string]string{
			"10_third.up.sql":  "insert into a values (3);",
			"2_second.up.sql":  "create index on a (n); insert into a values (2);",
			"1_first.up.sql":   "create table a (n int);",
			"1_first.down.sql": "drop table a;",
		})
		result, err := Migrate(ctx, url, src)
		if err != nil {
			t.Fatal(err)
		}
		if result.From != 0 || result.To != 10 || result.Applied != 3 || len(result.Steps) != 3 || result.Steps[1].File != "2_second.up.sql" {
			t.Errorf("result %+v", result)
		}
		if got := text(t, connect(t, url), "select string_agg(n::text, ',') from a"); got != "2,3" {
			t.Errorf("rows %s", got)
		}
		again, err := Migrate(ctx, url, src)
		if err != nil || again.From != 10 || again.To != 10 || again.Applied != 0 {
			t.Errorf("again %+v, %v", again, err)
		}
	})

	t.Run("an empty folder has nothing to do", func(t *testing.T) {
		result, err := Migrate(ctx, shared.database(t), migrations(t, nil))
		if err != nil || result.Applied != 0 {
			t.Errorf("%+v, %v", result, err)
		}
	})

	t.Run("a broken file is named with line and column, those before it stay, and mended it goes on", func(t *testing.T) {
		url := shared.database(t)
		src := migrations(t, map[string]string{
			"1_good.up.sql": "create table a (n int);",
			"2_bad.up.sql":  "-- größer\ninsert into a values (1);\ncreate  tabel b (n int);\n",
		})
		result, err := Migrate(ctx, url, src)
		var failed *MigrationError
		if !errors.As(err, &failed) {
			t.Fatalf("error %v", err)
		}
		if failed.Line != 3 || failed.Column != 9 || failed.Applied != 1 || result.To != 1 || !failed.RolledBack {
			t.Errorf("%+v, result %+v", failed, result)
		}
		if !strings.Contains(err.Error(), filepath.Join(src.Dir, "2_bad.up.sql")+":3:9:") || !strings.Contains(err.Error(), "tabel") {
			t.Errorf("it says %q", err)
		}
		if strings.Contains(err.Error(), "insert into") {
			t.Errorf("it repeats the file: %q", err)
		}
		if got := text(t, connect(t, url), "select count(*)::text from a"); got != "0" {
			t.Errorf("%s rows of the failed file stayed", got)
		}
		if err := os.WriteFile(failed.File, []byte("create table b (n int);"), 0o600); err != nil {
			t.Fatal(err)
		}
		if result, err := Migrate(ctx, url, src); err != nil || result.From != 1 || result.To != 2 {
			t.Errorf("mended: %+v, %v", result, err)
		}
	})

	t.Run("a first file that is broken leaves no version", func(t *testing.T) {
		url := shared.database(t)
		src := migrations(t, map[string]string{"1_bad.up.sql": "nonsense;"})
		if _, err := Migrate(ctx, url, src); err == nil {
			t.Fatal("no error")
		}
		if err := os.WriteFile(filepath.Join(src.Dir, "1_bad.up.sql"), []byte("select 1;"), 0o600); err != nil {
			t.Fatal(err)
		}
		if result, err := Migrate(ctx, url, src); err != nil || result.From != 0 || result.To != 1 {
			t.Errorf("mended: %+v, %v", result, err)
		}
	})

	t.Run("a file that ends transactions itself and fails leaves the database marked", func(t *testing.T) {
		url := shared.database(t)
		src := migrations(t, map[string]string{"1_half.up.sql": "begin; create table half (n int); commit; nonsense;"})
		_, err := Migrate(ctx, url, src)
		var failed *MigrationError
		if !errors.As(err, &failed) || failed.RolledBack {
			t.Fatalf("error %v", err)
		}
		_, err = Migrate(ctx, url, src)
		var failure *console.Failure
		if !errors.As(err, &failure) || !strings.Contains(failure.NextStep(), "devtool reset") {
			t.Errorf("error %v", err)
		}
	})

	t.Run("a database that is ahead of the files is an error with a next step", func(t *testing.T) {
		url := shared.database(t)
		if _, err := Migrate(ctx, url, migrations(t, map[string]string{"7_new.up.sql": "select 1;"})); err != nil {
			t.Fatal(err)
		}
		_, err := Migrate(ctx, url, migrations(t, map[string]string{"1_old.up.sql": "select 1;"}))
		var failure *console.Failure
		if !errors.As(err, &failure) || !strings.Contains(err.Error(), "version 7") {
			t.Errorf("error %v", err)
		}
	})

	for name, files := range map[string]map[string]string{
		"a file without a number": {"notes.up.sql": ""},
		"a file without up":       {"1_notes.sql": ""},
		"a number beyond all":     {"99999999999999999999_x.up.sql": ""},
		"a number twice":          {"1_a.up.sql": "", "01_b.up.sql": ""},
	} {
		t.Run(name+" is an error with a next step", func(t *testing.T) {
			_, err := Migrate(ctx, shared.AdminURL(), migrations(t, files))
			var failure *console.Failure
			if !errors.As(err, &failure) || failure.NextStep() == "" {
				t.Errorf("error %v", err)
			}
		})
	}

	t.Run("it ends with its context, and the statement with it", func(t *testing.T) {
		url := shared.database(t)
		src := migrations(t, map[string]string{"1_slow.up.sql": "select pg_sleep(60);"})
		limited, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		began := time.Now()
		if _, err := Migrate(limited, url, src); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %s", took)
		}
		conn := connect(t, url)
		deadline := time.Now().Add(patience)
		for text(t, conn, "select count(*)::text from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'") != "0" {
			if time.Now().After(deadline) {
				t.Fatal("the statement still runs")
			}
		}
	})

	t.Run("a server that is away is an error", func(t *testing.T) {
		src := migrations(t, map[string]string{"1_a.up.sql": "select 1;"})
		if _, err := Migrate(ctx, "postgres://u:p@127.0.0.1:1/x?sslmode=disable", src); err == nil {
			t.Error("no error")
		}
		if _, err := Migrate(ctx, "nonsense://\x00", src); err == nil {
			t.Error("no error for a malformed URL")
		}
	})
}
