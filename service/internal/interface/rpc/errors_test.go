package rpc

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"

	"connectrpc.com/connect"

	"example.com/goldenpath/service/internal/domain/problem"
)

func TestStatus(t *testing.T) {
	t.Run("every code of the domain has a Connect code", func(t *testing.T) {
		file, err := parser.ParseFile(token.NewFileSet(), "../../domain/problem/problem.go", nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != "Code" {
				return true
			}
			for _, value := range spec.Values {
				code, err := strconv.Unquote(value.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				found++
				if s := status(problem.Code(code)); s < connect.CodeCanceled || s > connect.CodeUnauthenticated {
					t.Errorf("status(%s) = %d", code, s)
				}
			}
			return true
		})
		if found < 10 {
			t.Errorf("found only %d codes", found)
		}
	})
}
