// Package staunch_test holds the rule that keeps the project's structure: every import between our own packages stands in ARROWS.
package staunch_test

import (
	"bufio"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// longest is the limit of the design on a chain of our own imports.
const longest = 12

// forTests names the packages that any test file may import.
var forTests = []string{"reach/lab", "reach/host/promise", "ledger/promise", "testbed", "testbed/real", "testbed/pebble", "testbed/stepca"}

type arrows struct {
	order   []string
	allowed map[string][]string
}

func TestArrows(t *testing.T) {
	list := readArrows(t)
	code, inTests := readImports(t)
	position := map[string]int{}
	for i, pkg := range list.order {
		position[pkg] = i
	}
	for pkg, imports := range code {
		if _, known := position[pkg]; !known {
			t.Errorf("package %s is missing in ARROWS", pkg)
			continue
		}
		for _, to := range imports {
			if !slices.Contains(list.allowed[pkg], to) {
				t.Errorf("%s imports %s: not in ARROWS", pkg, to)
			}
		}
		for _, to := range list.allowed[pkg] {
			if !slices.Contains(imports, to) {
				t.Errorf("ARROWS allows %s -> %s, but nothing uses it", pkg, to)
			}
			if at, known := position[to]; !known || at >= position[pkg] {
				t.Errorf("ARROWS: %s -> %s does not point upwards", pkg, to)
			}
		}
	}
	for _, pkg := range list.order {
		if _, exists := code[pkg]; !exists {
			t.Errorf("ARROWS lists %s, which has no code", pkg)
		}
	}
	for pkg, imports := range inTests {
		if _, listed := position[pkg]; !listed {
			continue // a folder of nothing but tests stands below everything: nobody can import it
		}
		for _, to := range imports {
			if to != pkg && !slices.Contains(list.allowed[pkg], to) && !slices.Contains(forTests, to) && position[to] > position[pkg] {
				t.Errorf("tests of %s import %s, which stands below it", pkg, to)
			}
		}
	}
	for _, pkg := range list.order {
		if n := chain(list, pkg, map[string]int{}); n > longest {
			t.Errorf("the longest import chain of %s has %d packages, the limit is %d", pkg, n, longest)
		}
	}
}

func chain(list arrows, pkg string, seen map[string]int) int {
	if n, done := seen[pkg]; done {
		return n
	}
	seen[pkg] = 0
	deepest := 0
	for _, to := range list.allowed[pkg] {
		deepest = max(deepest, chain(list, to, seen))
	}
	seen[pkg] = deepest + 1
	return deepest + 1
}

func readArrows(t *testing.T) arrows {
	t.Helper()
	f, err := os.Open("ARROWS")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list := arrows{allowed: map[string][]string{}}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		pkg, imports, _ := strings.Cut(line, ":")
		if pkg = strings.TrimSpace(pkg); pkg == "" {
			continue
		}
		if _, twice := list.allowed[pkg]; twice {
			t.Errorf("ARROWS lists %s twice", pkg)
		}
		list.order = append(list.order, pkg)
		list.allowed[pkg] = strings.Fields(imports)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// readImports parses the sources itself, so that the answer is never a cached one.
func readImports(t *testing.T) (code, inTests map[string][]string) {
	t.Helper()
	code, inTests = map[string][]string{}, map[string][]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case ".git", "bin", "dist", "testdata", "node_modules", "tools":
				return filepath.SkipDir
			}
			return nil
		}
		pkg := filepath.ToSlash(filepath.Dir(path))
		if !strings.HasSuffix(path, ".go") || pkg == "." {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		into := code
		if strings.HasSuffix(path, "_test.go") {
			into = inTests
		} else if into[pkg] == nil {
			into[pkg] = []string{}
		}
		for _, imp := range file.Imports {
			name, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			if own, ok := strings.CutPrefix(name, "staunch/"); ok && !slices.Contains(into[pkg], own) {
				into[pkg] = append(into[pkg], own)
				sort.Strings(into[pkg])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return code, inTests
}
