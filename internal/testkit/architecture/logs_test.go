package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// logKeys are all that a line of the log may name. None of them holds anything
// personal: riders, orders and payments are ids of ours.
var logKeys = []string{"device", "command", "order", "venue", "from", "to", "took", "err", "input", "kind", "by", "payment", "step", "event", "operation", "day", "lines", "differences", "payments", "view", "findings", "fault", "stack", "version", "dir", "free", "connection", "mqtt", "nats", "backup_at", "restored_at", "reserve", "attempt", "refund", "webhook"}

// TestLogLinesAreConstantAndOfKnownKeys: a message that is put together, or a key that
// nobody thought about, is how personal values get into logs.
func TestLogLinesAreConstantAndOfKnownKeys(t *testing.T) {
	root := repository(t)
	levels := []string{"Debug", "Info", "Warn", "Error"}
	files, calls := token.NewFileSet(), 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "/internal/testkit/") {
			return err
		}
		f, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !slices.Contains(levels, method.Sel.Name) || !isLogger(method.X) || len(call.Args) == 0 {
				return true
			}
			calls++
			at := files.Position(call.Pos())
			if _, ok := call.Args[0].(*ast.BasicLit); !ok {
				t.Errorf("%s: the message is no constant text", at)
			}
			for i := 1; i < len(call.Args); i += 2 {
				key, ok := call.Args[i].(*ast.BasicLit)
				if !ok {
					t.Errorf("%s: argument %d is no constant key", at, i)
					continue
				}
				if name, _ := strconv.Unquote(key.Value); !slices.Contains(logKeys, name) {
					t.Errorf("%s: key %q is not known; see logKeys", at, name)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if calls < 30 {
		t.Errorf("%d calls were looked at: the test no longer finds loggers", calls)
	}
}

// isLogger tells what is called Log or log.
func isLogger(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return x.Name == "log"
	case *ast.SelectorExpr:
		return x.Sel.Name == "Log" || x.Sel.Name == "log"
	}
	return false
}
