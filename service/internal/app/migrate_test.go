package app

import (
	"strings"
	"testing"
)

func TestMigrate(t *testing.T) {
	t.Chdir(t.TempDir()) // no .env
	migrate := func(environ ...string) (code int, out, errs string) {
		var o, e buffer
		code = ServerMain([]string{"migrate", "--timeout", "30s"}, environ, Stdio{Out: &o, Err: &e})
		return code, o.String(), e.String()
	}
	t.Run("an empty database gets the schema, needing nothing but its url, and then there is nothing to do", func(t *testing.T) {
		name := server.Database(t)
		server.Exec(t, name, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
		environ := []string{"SERVICE_ENV=production", "DATABASE_URL=" + server.URL(name)}
		if code, out, errs := migrate(environ...); code != 0 || errs != "" || strings.Count(out, "applied ") < 3 {
			t.Errorf("%d %q %q", code, out, errs)
		}
		if code, out, errs := migrate(environ...); code != 0 || errs != "" || !strings.HasSuffix(out, ": nothing to do\n") {
			t.Errorf("again: %d %q %q", code, out, errs)
		}
	})
	t.Run("a database that is away is code 1 with a hint and without its password", func(t *testing.T) {
		code, out, errs := migrate("DATABASE_URL=postgres://me:hunter2@" + nowhere + "/x")
		if code != 1 || out != "" || !strings.Contains(errs, "hint: ") || strings.Contains(errs, "hunter2") {
			t.Errorf("%d %q %q", code, out, errs)
		}
	})
	t.Run("the development credentials are refused in production", func(t *testing.T) {
		if code, _, errs := migrate("SERVICE_ENV=production"); code != 1 || !strings.Contains(errs, "DATABASE_URL") || strings.Contains(errs, "REDIS_URL") {
			t.Errorf("%d %q", code, errs)
		}
	})
}
