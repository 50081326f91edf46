package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// exampleFile is .env.example at the root of the repository.
const exampleFile = "../../../.env.example"

func TestExample(t *testing.T) {
	t.Run("the committed file is the generated one", func(t *testing.T) {
		committed, err := os.ReadFile(exampleFile)
		if err != nil || string(committed) != Example() {
			t.Errorf(".env.example is stale (%v); at the root of the repository run:\n  go run ./service/cmd/server config example > .env.example", err)
		}
	})
	t.Run("a copy of it is a valid .env with the values of the defaults", func(t *testing.T) {
		t.Chdir(t.TempDir())
		file := filepath.Join(t.TempDir(), ".env")
		if err := os.WriteFile(file, []byte(Example()), 0o600); err != nil {
			t.Fatal(err)
		}
		copied, r := Load(Sources{EnvFile: file})
		if !r.OK() || len(r.Warnings) > 0 {
			t.Fatalf("report = %+v", r)
		}
		if defaults, _ := Load(Sources{}); !reflect.DeepEqual(copied, defaults) {
			t.Errorf("copy = %+v\ndefaults = %+v", copied, defaults)
		}
	})
	t.Run("every variable has a name of its own and a line of meaning", func(t *testing.T) {
		seen := map[string]bool{}
		for _, v := range variables() {
			if !isName(v.Name) || seen[v.Name] || !strings.HasSuffix(v.Doc, ".") {
				t.Errorf("variable %+v", v)
			}
			seen[v.Name] = true
		}
	})
}
