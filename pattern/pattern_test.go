package pattern_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"staunch/pattern"
)

// TestEveryPatternInTheSourcesCompiles reads all sources: a wrong pattern would show only when somebody asks it.
func TestEveryPatternInTheSourcesCompiles(t *testing.T) {
	n := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() != ".." && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok || !isNew(call.Fun) {
				return true
			}
			n++
			text, ok := constant(call.Args[0])
			if !ok {
				t.Errorf("%s: a pattern is written out where it is made, so that it can be checked", path)
			} else if _, err := regexp.Compile(text); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			return true
		})
		return nil
	})
	if err != nil || n < 30 {
		t.Errorf("%d patterns found: %v", n, err)
	}
}

func isNew(fun ast.Expr) bool {
	sel, ok := fun.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != "New" {
		return false
	}
	pkg, ok := sel.X.(*ast.Ident)
	return ok && pkg.Name == "pattern"
}

// constant is the value of a text that is written out, in one piece or added up.
func constant(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil
	case *ast.BinaryExpr:
		left, okLeft := constant(e.X)
		right, okRight := constant(e.Y)
		return left + right, okLeft && okRight && e.Op == token.ADD
	}
	return "", false
}

func TestPatternAnswersAsRegexpDoes(t *testing.T) {
	f := pattern.New(`^(a+)-(\d+)$`)
	if m := f.FindStringSubmatch("aa-12"); len(m) != 3 || m[1] != "aa" || m[2] != "12" || f.MatchString("b-1") || !f.Match([]byte("a-1")) {
		t.Errorf("%q", m)
	}
	if got := pattern.New(`[-_.]+`).ReplaceAllString("a__b.c", "-"); got != "a-b-c" {
		t.Error(got)
	}
}
