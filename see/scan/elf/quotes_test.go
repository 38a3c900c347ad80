package elf_test

import (
	"path/filepath"
	"testing"

	"staunch/see/scan/elf"
	"staunch/testbed/real"
)

// staunch itself quotes every component's texts in its rules, and a packer's: it holds none of them, and is not packed.
func TestAProgramThatQuotesTheRulesHoldsNoneOfTheComponents(t *testing.T) {
	real.Slow(t)
	o := analyse(t, real.Build(t, "./cmd/staunch"), heartbleedAnchors()...)
	if o.Unknown != "" {
		t.Errorf("not analysed: %s", o.Unknown)
	}
	for _, c := range o.Components {
		if c.Kind != "Go" {
			t.Errorf("a Go program without C holds %s: %v", c.Name, c.Evidence)
		}
	}
}

// Built with C, as plain "go build" does where a compiler is installed, its toolchain's word no longer tells that it links none of them.
func TestTheSameWithC(t *testing.T) {
	t.Setenv("CGO_ENABLED", "1")
	real.Program(t, "gcc")
	out := filepath.Join(t.TempDir(), "staunch")
	run(t, real.Program(t, "go"), "build", "-ldflags=-linkmode=external", "-o", out, "staunch/cmd/staunch")
	o := analyse(t, out, heartbleedAnchors()...)
	if o.Unknown != "" {
		t.Errorf("not analysed: %s", o.Unknown)
	}
	for _, c := range o.Components {
		if c.Kind != "Go" && c.Linkage != elf.Headers {
			t.Errorf("a program that quotes %s is said to hold it: %v", c.Name, c.Evidence)
		}
	}
	if len(o.Components) < 10 {
		t.Errorf("its modules are missing: %+v", o.Components)
	}
}
