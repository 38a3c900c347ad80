package staunch_test

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What one sitting can hold (CONTRIBUTING.md, house rules).
const (
	mostOfPackage = 2000 // lines without tests
	mostOfFile    = 500  // lines, tests included
)

// tooLarge names what is over the limit still, with the size that it may not exceed meanwhile.
func tooLarge() map[string]int {
	return map[string]int{
		"see/verdict":                        2250,
		"mend/cert/errand/adversary_test.go": 560, "see/probe/chain/chain_test.go": 560, "reach/keep/keep_test.go": 620, "reach/ssh/ssh_test.go": 560,
	}
}

// TestSizes holds files and packages to what one sitting can hold; golangci-lint leaves tests out, and knows no packages.
func TestSizes(t *testing.T) {
	sizes := map[string]int{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "bin" || d.Name() == "dist" || d.Name() == "tools" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n := bytes.Count(b, []byte("\n"))
		if limit := max(mostOfFile, tooLarge()[filepath.ToSlash(path)]); n > limit {
			t.Errorf("%s has %d lines, the limit is %d", path, n, limit)
		}
		if !strings.HasSuffix(path, "_test.go") {
			sizes[filepath.ToSlash(filepath.Dir(path))] += n
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range slices.Sorted(maps.Keys(sizes)) {
		limit := max(mostOfPackage, tooLarge()[pkg])
		if sizes[pkg] > limit {
			t.Errorf("package %s has %d lines, the limit is %d: part it along its meaning (docs/decisions/structure.md)", pkg, sizes[pkg], limit)
		}
	}
}

// TestVerbsStandAlone: the packages of verbs share cli/desk and nothing else of cli, so that each reads alone.
func TestVerbsStandAlone(t *testing.T) {
	code, _ := readImports(t)
	for pkg, imports := range code {
		if !strings.HasPrefix(pkg, "cli/") {
			continue
		}
		for _, to := range imports {
			if to == "cli" || strings.HasPrefix(to, "cli/") && to != "cli/desk" {
				t.Errorf("%s imports %s: what two subjects need belongs into cli/desk, or to the subject below", pkg, to)
			}
		}
	}
}
