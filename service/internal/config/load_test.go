package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// envFile writes a .env file and returns its path.
func envFile(t *testing.T, lines ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), ".env")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// only is the one problem of a report.
func only(t *testing.T, r Report) Problem {
	t.Helper()
	if len(r.Problems) != 1 {
		t.Fatalf("there are %d problems, want one: %+v", len(r.Problems), r.Problems)
	}
	return r.Problems[0]
}

func TestLoad(t *testing.T) {
	t.Chdir(t.TempDir()) // no .env
	t.Run("the defaults alone are valid", func(t *testing.T) {
		c, r := Load(Sources{})
		if !r.OK() || len(r.Warnings) > 0 {
			t.Fatalf("report = %+v", r)
		}
		if c.HTTPAddr != "127.0.0.1:8081" || c.DatabaseTimeout != 5*time.Second || c.DatabaseMaxConns != 10 ||
			c.RateLimitRPS != 200 || len(c.KafkaBrokers) != 1 || c.CaptureDir != "" || c.CaptureMaxBytes != 256<<20 {
			t.Errorf("config = %+v", c)
		}
	})
	t.Run("the file overrides the default and the environment the file", func(t *testing.T) {
		file := envFile(t, "HTTP_ADDR=127.0.0.1:1", "ADMIN_ADDR=127.0.0.1:2")
		c, r := Load(Sources{EnvFile: file, Environ: []string{"ADMIN_ADDR=127.0.0.1:3"}})
		if !r.OK() || c.HTTPAddr != "127.0.0.1:1" || c.AdminAddr != "127.0.0.1:3" {
			t.Errorf("HTTP %s, admin %s, report %+v", c.HTTPAddr, c.AdminAddr, r)
		}
	})
	t.Run("an empty value counts as none given", func(t *testing.T) {
		file := envFile(t, "HTTP_ADDR=127.0.0.1:1", "ADMIN_ADDR=")
		c, r := Load(Sources{EnvFile: file, Environ: []string{"HTTP_ADDR="}})
		if !r.OK() || c.HTTPAddr != "127.0.0.1:1" || c.AdminAddr != "127.0.0.1:8082" {
			t.Errorf("HTTP %s, admin %s, report %+v", c.HTTPAddr, c.AdminAddr, r)
		}
	})
	t.Run("ENV_FILE names the file", func(t *testing.T) {
		file := envFile(t, "KAFKA_BROKERS=a:1, b:2")
		c, r := Load(Sources{Environ: []string{"ENV_FILE=" + file}})
		if !r.OK() || fmt.Sprint(c.KafkaBrokers) != "[a:1 b:2]" {
			t.Errorf("brokers %v, report %+v", c.KafkaBrokers, r)
		}
	})
	t.Run("a .env in the working directory is read", func(t *testing.T) {
		dir := t.TempDir()
		t.Chdir(dir)
		if err := os.WriteFile(".env", []byte("HTTP_ADDR=nonsense"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, r := Load(Sources{})
		if p := only(t, r); p.Source != ".env:1" || p.File != ".env" || p.Line != 1 {
			t.Errorf("problem = %+v", p)
		}
	})
	t.Run("a file that was named and is not there is a problem", func(t *testing.T) {
		_, r := Load(Sources{EnvFile: "absent.env"})
		if p := only(t, r); p.File != "absent.env" || p.Hint == "" {
			t.Errorf("problem = %+v", p)
		}
	})
	t.Run("a folder in place of the file is a problem", func(t *testing.T) {
		_, r := Load(Sources{EnvFile: t.TempDir()})
		only(t, r)
	})
	t.Run("a file too large to be a .env is a problem", func(t *testing.T) {
		_, r := Load(Sources{EnvFile: envFile(t, strings.Repeat("#", maxEnvFile+1))})
		if p := only(t, r); !strings.Contains(p.Reason, "larger than 1 MiB") {
			t.Errorf("problem = %+v", p)
		}
	})
	t.Run("every problem is listed at once, each with its source", func(t *testing.T) {
		file := envFile(t, "# comment", "HTTP_TIMEOUT=fast", "no equals sign", "LOG_LEVEL=loud")
		_, r := Load(Sources{EnvFile: file, Environ: []string{"DATABASE_MAX_CONNS=many", "LOG_LEVEL=info"}})
		got := map[string]string{}
		for _, p := range r.Problems {
			if p.Reason == "" || p.Hint == "" {
				t.Errorf("problem without reason or hint: %+v", p)
			}
			got[p.Variable] = strings.TrimPrefix(p.Source, filepath.Dir(file)+"/")
		}
		want := map[string]string{"HTTP_TIMEOUT": ".env:2", "": ".env:3", "DATABASE_MAX_CONNS": "environment"}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("problems = %v, want %v", got, want)
		}
	})
}

func TestRefusals(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, tc := range []struct{ variable, value, reason string }{
		{"HTTP_ADDR", "8081", "not an address"},
		{"HTTP_ADDR", "127.0.0.1:http", "not a number"},
		{"HTTP_ADDR", "127.0.0.1:65536", "not a number"},
		{"HTTP_ADDR", ":8081", "every interface"},
		{"HTTP_TIMEOUT", "30", "not a duration"},
		{"HTTP_TIMEOUT", "-1s", "less than 100ms"},
		{"HTTP_TIMEOUT", "9h", "more than 10m"},
		{"DATABASE_MAX_CONNS", "0", "less than 1"},
		{"DATABASE_MAX_CONNS", "99999999999", "not a whole number"},
		{"DATABASE_MAX_CONNS", "1.5", "not a whole number"},
		{"RATE_LIMIT_RPS", "NaN", "not a number"},
		{"RATE_LIMIT_RPS", "Inf", "not a number"},
		{"RATE_LIMIT_RPS", "-1", "less than 0"},
		{"CAPTURE_MAX_BYTES", "1", "less than 1048576"},
		{"LOG_LEVEL", "INFO", "not one of"},
		{"SERVICE_ENV", "prod", "not one of"},
		{"KAFKA_BROKERS", "a:1,,b:2", "not an address"},
		{"KAFKA_TOPIC", "notes v1", "not a name"},
		{"KAFKA_TOPIC", "..", "not a name"},
		{"DATABASE_URL", "mysql://u:p@h/d", "does not begin with postgres"},
		{"DATABASE_URL", "host=127.0.0.1 user=me", "does not begin with postgres"},
		{"DATABASE_URL", "postgres:///db", "names no host"},
		{"DATABASE_URL", "postgres://u:p@h:port/d", "not a URL"},
		{"REDIS_URL", "127.0.0.1:6379", "not a URL"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:4318", "not a URL"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "grpc://127.0.0.1:4317", "does not begin with http"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:secret@127.0.0.1:4318", "holds a user"},
	} {
		t.Run(tc.variable+" refuses "+tc.value, func(t *testing.T) {
			_, r := Load(Sources{Environ: []string{tc.variable + "=" + tc.value}})
			p := only(t, r)
			if p.Variable != tc.variable || p.Source != "environment" || !strings.Contains(p.Reason, tc.reason) || p.Hint == "" {
				t.Errorf("problem = %+v, want a reason with %q", p, tc.reason)
			}
		})
	}
}

func TestRulesBetweenVariables(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Run("two ports cannot share an address", func(t *testing.T) {
		_, r := Load(Sources{Environ: []string{"ADMIN_ADDR=127.0.0.1:8081"}})
		if p := only(t, r); p.Variable != "ADMIN_ADDR" || !strings.Contains(p.Reason, "HTTP_ADDR") {
			t.Errorf("problem = %+v", p)
		}
	})
	t.Run("any number of ports may be left to the system", func(t *testing.T) {
		_, r := Load(Sources{Environ: []string{"HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "WORKER_ADMIN_ADDR=127.0.0.1:0"}})
		if !r.OK() {
			t.Errorf("report = %+v", r)
		}
	})
	t.Run("production refuses the credentials of development, written out or not", func(t *testing.T) {
		file := envFile(t, "SERVICE_ENV=production", "REDIS_URL=rediss://redis.internal:6380/0",
			"DATABASE_URL=postgres://goldenpath:goldenpath@127.0.0.1:15432/goldenpath?sslmode=disable")
		_, r := Load(Sources{EnvFile: file})
		if p := only(t, r); p.Variable != "DATABASE_URL" || p.Line != 3 {
			t.Errorf("problem = %+v", p)
		}
	})
	t.Run("production does not ask a process for secrets that it has no use for", func(t *testing.T) {
		_, r := Load(Sources{Environ: []string{"SERVICE_ENV=production"}, Unused: []string{"DATABASE_URL"}})
		if p := only(t, r); p.Variable != "REDIS_URL" {
			t.Errorf("problem = %+v", p)
		}
	})
	t.Run("a database limit beyond the request's is worth a warning", func(t *testing.T) {
		_, r := Load(Sources{Environ: []string{"HTTP_TIMEOUT=2s"}})
		if !r.OK() || len(r.Warnings) != 1 || r.Warnings[0].Variable != "DATABASE_TIMEOUT" || r.Warnings[0].Source != "default" {
			t.Errorf("report = %+v", r)
		}
	})
}

func TestWarnings(t *testing.T) {
	t.Chdir(t.TempDir())
	file := envFile(t,
		"DATABSE_URL=postgres://me:hunter2@127.0.0.1/x", // 1: a typo
		"KAFKA_PARTITIONS=3",                            // 2: a family of ours, a name that is not
		"PATH_TO_SOMETHING=else",                        // 3: none of our business
		"LOG_LEVEL=debug",                               // 4
		"LOG_LEVEL=info",                                // 5: twice
		"ENV_FILE=other",                                // 6: read from the environment alone
	)
	c, r := Load(Sources{EnvFile: file})
	if !r.OK() || c.LogLevel != "info" {
		t.Fatalf("level %s, report %+v", c.LogLevel, r)
	}
	hints := map[int]string{}
	for _, w := range r.Warnings {
		hints[w.Line] = w.Hint
	}
	for _, tc := range []struct {
		fact string
		line int
		want string
	}{
		{"a misspelled variable gets a suggestion", 1, "did you mean DATABASE_URL?"},
		{"a strange name in a known family is pointed at", 2, "reads no such KAFKA_ variable"},
		{"a variable of another program is left alone", 3, ""},
		{"a variable that is set twice is pointed at", 5, "the later counts"},
		{"ENV_FILE in the file is pointed at", 6, "--env-file"},
	} {
		t.Run(tc.fact, func(t *testing.T) {
			if got := hints[tc.line]; (tc.want == "") != (got == "") || !strings.Contains(got, tc.want) {
				t.Errorf("hint of line %d = %q, want %q", tc.line, got, tc.want)
			}
		})
	}
}

func TestSecrets(t *testing.T) {
	t.Chdir(t.TempDir())
	const canary = "hunter2"
	t.Run("no report quotes a secret", func(t *testing.T) {
		for _, line := range []string{
			"DATABASE_URL=postgres://me:" + canary + "@h:port/d",
			"DATABASE_URL=mysql://me:" + canary + "@h/d",
			"DATABASE_URL='postgres://me:" + canary,
			"DATABASE_URL=postgres://me:%zz" + canary + "@h/d",
			"DATABSE_URL=postgres://me:" + canary + "@h/d",
			"DATABASE_URL postgres://me:" + canary + "@h/d",
			"OTEL_EXPORTER_OTLP_ENDPOINT=http://me:" + canary + "@h:4318",
			"REDIS_URL=redis://:" + canary + "@:80:80",
		} {
			_, r := Load(Sources{EnvFile: envFile(t, line)})
			var text strings.Builder
			if err := r.Text(&text); err != nil {
				t.Fatal(err)
			}
			if text.Len() == 0 || strings.Contains(text.String(), canary) {
				t.Errorf("%s: report is %q", line, text.String())
			}
		}
	})
	t.Run("no verb of fmt prints a secret", func(t *testing.T) {
		c, r := Load(Sources{Environ: []string{"DATABASE_URL=postgres://me:" + canary + "@h/d"}})
		if !r.OK() || !strings.Contains(c.DatabaseURL.Reveal(), canary) {
			t.Fatalf("report = %+v", r)
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			if text := fmt.Sprintf(verb, c); strings.Contains(text, canary) {
				t.Errorf("%s prints the secret: %s", verb, text)
			}
		}
	})
}
