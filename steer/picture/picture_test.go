package picture_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"staunch/ink"
	"staunch/steer/picture"
	"staunch/steer/plan"
)

var update = flag.Bool("update", false, "write the golden picture anew")

// night is a plan of two rings with a turn, a person, and what stands outside of the rings.
func night() plan.Plan {
	step := func(id, ring string, kind plan.Kind, after ...string) plan.Step {
		return plan.Step{
			ID: id, Kind: kind, Ring: ring, Says: "says " + id, Targets: []plan.Target{{Host: "web1"}, {Host: "web2"}}, After: after, Votes: 1, Tries: 1, DeadlineMS: 1,
			Proves: []plan.Predicate{{Kind: plan.Reachable}},
		}
	}
	p := plan.Plan{
		ID: "7.1", Incident: "7", Title: "fix <tally> & \"friends\"", Made: time.Unix(0, 0).UTC(), MadeBy: "ada", Expires: time.Unix(9e9, 0).UTC(),
		Rings: []plan.Ring{{Name: "canary", Width: 1, Quorum: 1}, {Name: "production", Width: 2, Quorum: 2}},
	}
	p.Steps = []plan.Step{
		step("outside", "", plan.Gate, "clean-production", "stop-production"),
		step("upgrade-canary", "canary", plan.Act),
		step("restart-canary-web", "canary", plan.Act, "upgrade-canary"),
		step("restart-canary-shop", "canary", plan.Act, "upgrade-canary"),
		step("clean-canary", "canary", plan.Gate, "restart-canary-web", "restart-canary-shop", "upgrade-canary"),
		step("stop-production", "production", plan.Act),
		step("upgrade-production", "production", plan.Act, "clean-canary", "upgrade-canary"),
		step("clean-production", "production", plan.Gate, "upgrade-production"),
		step("call", "", plan.Person),
	}
	p.Steps[5].Safer, p.Steps[2].Public = true, true
	p.Steps[8].Targets = []plan.Target{{}}
	p.Steps[8].Task = &plan.Task{Owner: "cleo", Asks: "call the <vendor>\x1b[31m", Due: time.Unix(1, 0).UTC()}
	return p
}

func TestLinesShowWhatWaitsForWhat(t *testing.T) {
	p := night()
	lines := picture.Lines(&p, 72, false)
	got := strings.Join(lines, "\n") + "\n"
	const file = "testdata/night.txt"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || got != string(want) {
		t.Errorf("%v; it is drawn as\n%s", err, got)
	}
	for _, line := range picture.Lines(&p, 50, true) {
		if n := ink.Columns(line); n > 50 {
			t.Errorf("%d columns: %q", n, line)
		}
	}
}

// Every step comes after what it waits for, in any plan, and each is drawn once.
func TestOrderHoldsForWideAndLongPlans(t *testing.T) {
	p := plan.Plan{ID: "1.1", Rings: []plan.Ring{{Name: "canary", Width: 1, Quorum: 1}}}
	for i := range 60 {
		s := plan.Step{ID: fmt.Sprintf("s%d", i), Kind: plan.Act, Ring: "canary", Targets: []plan.Target{{Host: "a"}}}
		for j := range i {
			if (i*7+j*13)%11 == 0 {
				s.After = append(s.After, fmt.Sprintf("s%d", j))
			}
		}
		p.Steps = append([]plan.Step{s}, p.Steps...)
	}
	seen := map[string]bool{}
	for _, line := range picture.Lines(&p, 200, false) {
		for _, s := range p.Steps {
			if !strings.Contains(line, s.ID+"  a") {
				continue
			}
			for _, before := range s.After {
				if !seen[before] {
					t.Errorf("%s stands above %s, which it waits for", s.ID, before)
				}
			}
			if seen[s.ID] {
				t.Errorf("%s is drawn twice", s.ID)
			}
			seen[s.ID] = true
			break
		}
	}
	if len(seen) != len(p.Steps) {
		t.Errorf("%d of %d steps are drawn", len(seen), len(p.Steps))
	}
}

func TestPicturesAreWellFormedAndFetchNothing(t *testing.T) {
	p := night()
	sealed, err := plan.Seal(p)
	if err != nil {
		t.Fatal(err)
	}
	var svg, dot, page bytes.Buffer
	if err := errors.Join(picture.SVG(&svg, sealed.Plan()), picture.DOT(&dot, sealed.Plan()), picture.HTML(&page, sealed)); err != nil {
		t.Fatal(err)
	}
	dec := xml.NewDecoder(bytes.NewReader(svg.Bytes()))
	for {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the svg is not XML: %v", err)
		}
	}
	for _, text := range []string{svg.String(), page.String()} {
		for _, bad := range []string{"<script", "\x1b", "http://", "https://"} {
			if strings.Contains(strings.ReplaceAll(text, "http://www.w3.org/2000/svg", ""), bad) {
				t.Errorf("%q stands in it", bad)
			}
		}
	}
	if !strings.Contains(page.String(), sealed.Digest) || !strings.Contains(page.String(), `id="step-clean-canary"`) || !strings.Contains(svg.String(), `href="#step-clean-canary"`) {
		t.Error("the page lacks its digest or its anchors")
	}
	if strings.Contains(dot.String(), `"upgrade-canary" -> "clean-canary"`) || !strings.Contains(dot.String(), `"restart-canary-web" -> "clean-canary"`) {
		t.Errorf("what another way implies is drawn, or what is not is left out:\n%s", dot.String())
	}
}
