package outside

import (
	"strings"
	"testing"

	"staunch/see/why"
)

// One round of --watch keeps to the terminal's width, because the next one is drawn over it line by line.
func TestWhyWatchKeepsToTheWidth(t *testing.T) {
	history := map[string][]float64{}
	answer := why.Answer{Says: strings.Repeat("long ", 40), Layers: []why.Layer{{Layer: "tcp", State: why.OK, TookMS: 3}, {Layer: "http", State: why.Failed}}}
	var out strings.Builder
	for range 60 {
		out.Reset()
		if n := watchRound(&out, answer, history, 50); n != 3 || strings.Count(out.String(), "\n") != 3 {
			t.Fatalf("%d lines were counted:\n%s", n, out.String())
		}
	}
	for line := range strings.Lines(out.String()) {
		if len([]rune(strings.TrimSpace(line))) > 50 {
			t.Errorf("too wide: %q", line)
		}
	}
	if !strings.Contains(out.String(), "X  http") || len(history["tcp"]) != 40 {
		t.Errorf("%d past looks\n%s", len(history["tcp"]), out.String())
	}
}
