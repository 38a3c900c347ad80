package elf_test

import (
	"bytes"
	"compress/zlib"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"staunch/see/scan/elf"
	"staunch/testbed/real"
)

// Our own program is a Go program with modules: it is read like any other.
func TestAGoProgramNamesItsModulesAndToolchain(t *testing.T) {
	real.Slow(t)
	o := analyse(t, real.Build(t, "./cmd/staunch", "-ldflags=-s -w"))
	kinds := map[string]elf.Component{}
	for _, c := range o.Components {
		kinds[c.Name] = c
	}
	if c := kinds["stdlib"]; c.Kind != "Go" || !strings.HasPrefix("go"+c.Version, runtime.Version()) {
		t.Errorf("standard library: %+v, built by %s", c, runtime.Version())
	}
	if c := kinds["github.com/spf13/cobra"]; c.Kind != "Go" || !strings.HasPrefix(c.Version, "1.") || c.Linkage != elf.Static {
		t.Errorf("cobra: %+v", c)
	}
	if _, ok := kinds["staunch"]; !ok {
		t.Error("the main module is missing")
	}
}

// What cargo auditable writes lies in a section of its own, as zlib-compressed JSON; build and development dependencies do not count.
func TestARustProgramNamesItsCrates(t *testing.T) {
	gcc, objcopy := real.Program(t, "gcc"), real.Program(t, "objcopy")
	dir := t.TempDir()
	var audit bytes.Buffer
	z := zlib.NewWriter(&audit)
	if _, err := z.Write([]byte(`{"packages":[
		{"name":"agent","version":"0.3.0","source":"local","dependencies":[1],"root":true},
		{"name":"rustls","version":"0.20.8","source":"crates.io","kind":"runtime"},
		{"name":"cc","version":"1.0.0","source":"crates.io","kind":"build"}]}`)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	section, out := filepath.Join(dir, "audit"), filepath.Join(dir, "agent")
	if err := os.WriteFile(section, audit.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, gcc, "-o", out, "testdata/empty.c")
	run(t, objcopy, "--add-section", ".dep-v0="+section, out)
	o := analyse(t, out)
	if got := holds(o, "rustls"); len(got) != 1 || got[0] != "0.20.8 static" {
		t.Errorf("rustls: %q", got)
	}
	if got := holds(o, "agent"); len(got) != 1 || got[0] != "0.3.0 static" {
		t.Errorf("the program itself: %q", got)
	}
	if got := holds(o, "cc"); len(got) != 0 {
		t.Errorf("a build dependency is not in the program: %q", got)
	}
}
