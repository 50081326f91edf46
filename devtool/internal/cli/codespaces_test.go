package cli

import (
	"maps"
	"testing"
)

func TestForwarded(t *testing.T) {
	endpoints := map[string]string{"service": "http://127.0.0.1:8080", "toxiproxy": "http://127.0.0.1:8475", "db": "127.0.0.1:15432"}
	in := func(environ map[string]string) func(string) string {
		return func(name string) string { return environ[name] }
	}
	t.Run("outside of a codespace there is nothing", func(t *testing.T) {
		if got := forwarded(in(nil), endpoints); got != nil {
			t.Error(got)
		}
	})
	t.Run("the HTTP ports have an address each, as they moved", func(t *testing.T) {
		got := forwarded(in(map[string]string{"CODESPACES": "true", "CODESPACE_NAME": "fluffy-xyz",
			"GITHUB_CODESPACES_PORT_FORWARDING_DOMAIN": "preview.example.dev"}), endpoints)
		want := map[string]string{"service": "https://fluffy-xyz-8080.preview.example.dev", "toxiproxy": "https://fluffy-xyz-8475.preview.example.dev"}
		if !maps.Equal(got, want) {
			t.Error(got)
		}
	})
	t.Run("the domain has GitHub's default", func(t *testing.T) {
		got := forwarded(in(map[string]string{"CODESPACES": "true", "CODESPACE_NAME": "a"}), endpoints)
		if got["service"] != "https://a-8080.app.github.dev" {
			t.Error(got)
		}
	})
}
