package httpapi

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"example.com/goldenpath/service/internal/domain/problem"
)

// everyCode reads the codes from the source of the domain, so that a new one
// cannot be forgotten here.
func everyCode(t *testing.T) []problem.Code {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../domain/problem/problem.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var codes []problem.Code
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Code" {
			for _, value := range spec.Values {
				text, err := strconv.Unquote(value.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				codes = append(codes, problem.Code(text))
			}
		}
		return true
	})
	if len(codes) < 10 {
		t.Fatalf("found only the codes %v", codes)
	}
	return codes
}

func TestStatus(t *testing.T) {
	t.Run("every code has a status of its class", func(t *testing.T) {
		for _, code := range everyCode(t) {
			if s := status(code); s < 400 || s > 599 {
				t.Errorf("status(%s) = %d", code, s)
			}
		}
	})
	t.Run("what a dependency fails with is never a bare 500", func(t *testing.T) {
		for code, want := range map[problem.Code]int{problem.DatabaseUnavailable: 503, problem.DatabaseTimeout: 504, problem.RequestTimeout: 504} {
			if got := status(code); got != want {
				t.Errorf("status(%s) = %d, want %d", code, got, want)
			}
		}
	})
}

func TestOpenAPI(t *testing.T) {
	text, err := os.ReadFile("../../../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths      map[string]map[string]any
		Components struct {
			Schemas struct {
				ErrorCode struct{ Enum []problem.Code } `yaml:"ErrorCode"`
			}
		}
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	t.Run("it describes the routes that there are, and no others", func(t *testing.T) {
		var described, served []string
		for path, methods := range doc.Paths {
			for method := range methods {
				if method != "parameters" {
					described = append(described, method+" "+path)
				}
			}
		}
		for _, r := range (&api{}).routes() {
			served = append(served, strings.ToLower(r.method)+" "+r.pattern)
		}
		slices.Sort(described)
		slices.Sort(served)
		if !slices.Equal(described, served) {
			t.Errorf("described %v, served %v", described, served)
		}
	})
	t.Run("it lists the codes that there are, and no others", func(t *testing.T) {
		listed, known := doc.Components.Schemas.ErrorCode.Enum, everyCode(t)
		slices.Sort(listed)
		slices.Sort(known)
		if !slices.Equal(listed, known) {
			t.Errorf("listed %v, known %v", listed, known)
		}
	})
}
