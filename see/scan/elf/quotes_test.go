package elf_test

import (
	"testing"

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
