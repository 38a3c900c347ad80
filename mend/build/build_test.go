package build_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"staunch/fault"
	"staunch/mend/build"
	"staunch/testbed/real"
)

// packed writes files as an archive; a name ending in " -> X" is a symbolic link to X.
func packed(t *testing.T, files ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	for i := 0; i < len(files); i += 2 {
		name, to, link := strings.Cut(files[i], " -> ")
		h := &tar.Header{Name: name, Mode: 0o755, Size: int64(len(files[i+1])), Typeflag: tar.TypeReg, ModTime: time.Unix(1e9, 0)}
		if link {
			h = &tar.Header{Name: name, Linkname: to, Typeflag: tar.TypeSymlink}
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[i+1])); !link && err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// job writes an archive and a recipe for it.
func job(t *testing.T, archive []byte, change func(*build.Recipe)) (build.Job, error) {
	t.Helper()
	dir := t.TempDir()
	sum := sha256.Sum256(archive)
	r := build.Recipe{
		Schema: 1, Package: "libtally1", Says: "tally 1.1 with the upstream patch", Source: "tally.tar.gz", SHA256: hex.EncodeToString(sum[:]),
		Commands: [][]string{{"gcc", "-shared", "-fPIC", "-Wl,-soname,libtally.so.1", "-o", "libtally.so.1.1", "tally.c"}}, Output: "libtally.so.1.1",
		Path: "/usr/local/lib/libtally.so.1.1", Links: []string{"libtally.so.1"},
	}
	if change != nil {
		change(&r)
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tally.tar.gz"), archive, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err = build.Read(text)
	return build.Job{Recipe: r, Text: text, From: dir, Into: filepath.Join(dir, "out"), Path: os.Getenv("PATH"), Host: "build1", Now: time.Now, Log: &bytes.Buffer{}}, err
}

func TestALibraryIsBuiltFromPinnedSourceTwiceTheSame(t *testing.T) {
	real.Program(t, "gcc")
	archive := packed(t, "tally-1.1/tally.c", "int tally(void) { return 11; }\n")
	var before build.Made
	for range 2 {
		j, err := job(t, archive, nil)
		if err != nil {
			t.Fatal(err)
		}
		m, err := j.Run(t.Context())
		if err != nil {
			t.Fatalf("%v\n%s", err, j.Log)
		}
		if m.Soname != "libtally.so.1" || m.Arch == "" || m.Object == "" || m.Host != "build1" || before.SHA256 != "" && before.SHA256 != m.SHA256 {
			t.Errorf("built %+v, before %+v", m, before)
		}
		text, err := os.ReadFile(filepath.Join(j.Into, "built.json"))
		if err != nil {
			t.Fatal(err)
		}
		again, err := build.ReadMade(text)
		if err != nil || again.SHA256 != m.SHA256 {
			t.Errorf("described as %s: %v", text, err)
		}
		if _, err := build.Library(again, j.Into); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(filepath.Join(j.Into, m.File), []byte("other"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := build.Library(again, j.Into); !fault.Is(err, fault.Corrupt) {
			t.Errorf("a library that was changed: %v", err)
		}
		before = m
	}
}

func TestNothingIsBuiltFromAnotherSource(t *testing.T) {
	j, err := job(t, packed(t, "tally.c", ""), func(r *build.Recipe) { r.SHA256 = strings.Repeat("0", 64) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Run(t.Context()); !fault.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), "the recipe pins 000") {
		t.Errorf("%v", err)
	}
}

func TestNothingLeavesTheFolder(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "owned")
	for what, archive := range map[string][]byte{
		"a name that leads up":   packed(t, "../owned", "x"),
		"an absolute name":       packed(t, outside, "x"),
		"a link that leads out":  packed(t, "d -> "+filepath.Dir(outside), "", "d/owned", "x"),
		"the same file twice":    packed(t, "a", "x", "a", "y"),
		"something that is none": []byte("\x1f\x8bnot gzip"),
	} {
		j, err := job(t, archive, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := j.Run(t.Context()); !fault.Is(err, fault.Corrupt) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := os.Stat(outside); err == nil {
			t.Fatalf("%s was written outside", what)
		}
	}
}

func TestBuildsThatFailSayWhere(t *testing.T) {
	archive := packed(t, "run", "#!/bin/sh\necho \"$HOME $SECRET\"; exit 3\n", "note", "no library")
	for says, commands := range map[string][][]string{
		"./run failed: exit status 3":   {{"./run"}},
		"no-such-program failed":        {{"no-such-program"}},
		"what was built is no library":  {{"cp", "note", "libtally.so.1.1"}},
		"no such file":                  {{"true"}},
		"the build took longer than 1s": {{"sleep", "60"}},
	} {
		j, err := job(t, archive, func(r *build.Recipe) { r.Commands, r.LimitS = commands, 1 })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := j.Run(t.Context()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v", commands, err)
		}
	}
}

func TestRecipesAreReadStrictly(t *testing.T) {
	for says, change := range map[string]func(*build.Recipe){
		"not pinned":         func(r *build.Recipe) { r.SHA256 = "" },
		"stay inside":        func(r *build.Recipe) { r.Source = "../x" },
		"no commands":        func(r *build.Recipe) { r.Commands = nil },
		"without a program":  func(r *build.Recipe) { r.Commands = [][]string{{}} },
		"absolute and clean": func(r *build.Recipe) { r.Path = "lib/x.so" },
		"voters read that":   func(r *build.Recipe) { r.Says = "" },
		"has schema 2":       func(r *build.Recipe) { r.Schema = 2 },
		"stands in for":      func(r *build.Recipe) { r.Package = "--option" },
		"a library's name":   func(r *build.Recipe) { r.Links = []string{"passwd"} },
	} {
		if _, err := job(t, packed(t, "a", ""), change); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
	if _, err := build.Read([]byte(`{"schema":1,"shell":"rm -rf /"}`)); !fault.Is(err, fault.Usage) {
		t.Errorf("an unknown key: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"schema":1,"package":"a","says":"b","source":"c","sha256":"` + strings.Repeat("a", 64) + `","commands":[["d"]],"output":"e","path":"/usr/lib/f.so"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := build.Read(text)
		if err == nil && (filepath.IsAbs(r.Source) || strings.HasPrefix(r.Output, "..") || len(r.Commands) == 0) {
			t.Errorf("read %+v", r)
		}
		if _, err := build.ReadMade(text); err != nil && fault.KindOf(err) == "" {
			t.Errorf("%v", err)
		}
	})
}
