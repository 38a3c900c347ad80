package run

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"staunch/reach/act"
	"staunch/steer/plan"

	"golang.org/x/tools/txtar"
)

// Scenarios are scripts in testdata: each line says what happens, and what the machine then wants is written down and compared.
// STAUNCH_UPDATE=1 writes it anew.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(archive.Files[0].Data))
			if os.Getenv("STAUNCH_UPDATE") == "1" {
				archive.Files = append(archive.Files[:1], txtar.File{Name: "then", Data: []byte(got)})
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if len(archive.Files) < 2 || string(archive.Files[1].Data) != got {
				t.Errorf("it now goes:\n%s", got)
			}
		})
	}
}

// play runs a script. Lines: "fleet canary=1 production=2 ...", "wait 90s", "crash", or an event: "begun STEP TARGET", "answered STEP TARGET done" ...
func play(t *testing.T, script string) string {
	var out strings.Builder
	var m *Machine
	var sealed *plan.Sealed
	var events []Event
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	fold := func() {
		var err error
		if m, err = New(sealed); err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if err := m.Apply(e); err != nil {
				t.Fatal(err)
			}
		}
	}
	for line := range strings.Lines(script) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		fmt.Fprintf(&out, "> %s\n", strings.TrimSpace(line))
		switch words[0] {
		case "fleet":
			sealed = sealedOf(t, fleetOf(t, words[1:]))
			fold()
			continue
		case "wait":
			d, err := time.ParseDuration(words[1])
			if err != nil {
				t.Fatal(err)
			}
			now = now.Add(d)
		case "crash":
			fold()
		default:
			e := eventOf(t, words)
			e.Plan, e.Seq, e.At = sealed.Digest, m.Seq()+1, now
			if !e.From.IsZero() {
				e.From = now.Add(e.From.Sub(time.Time{}))
			}
			if err := m.Apply(e); err != nil {
				fmt.Fprintf(&out, "  refused: %v\n", err)
				continue
			}
			events = append(events, e)
		}
		d := m.Next(now, nil)
		fmt.Fprintf(&out, "  %s\n", d.State)
		for _, e := range d.Effects {
			fmt.Fprintf(&out, "  %s %s on %s #%d\n", e.Do, e.Step, e.Target, e.Attempt)
		}
		if !d.Wake.IsZero() {
			fmt.Fprintf(&out, "  wakes in %s\n", d.Wake.Sub(now))
		}
	}
	return out.String()
}

func fleetOf(t *testing.T, words []string) shape {
	pace, err := plan.PaceOf(plan.Tonight)
	s := shape{Width: 2, MaxDown: 1}
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		switch name {
		case "canary", "staging", "production":
			n, bad := strconv.Atoi(value)
			if bad != nil {
				t.Fatal(bad)
			}
			s.Hosts = append(s.Hosts, n)
		case "drain":
			s.Drain = true
		case "person":
			s.Person = true
		case "now":
			pace, err = plan.PaceOf(plan.Now)
		case "off":
			s.Off = true
		case "quorum":
			n, bad := strconv.Atoi(value)
			if bad != nil {
				t.Fatal(bad)
			}
			s.Quorum = n
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	s.Pace = pace
	return s
}

func eventOf(t *testing.T, words []string) Event {
	e := Event{Kind: Kind(words[0]), By: "ann"}
	if len(words) > 2 {
		e.Step, e.Target, e.Attempt = words[1], words[2], 1
	}
	for _, w := range words[min(3, len(words)):] {
		switch {
		case granted(t, &e, w):
		case w == "silent":
			e.Silent = true
		case w == "up":
			e.Up = true
		case e.Kind == Answered || e.Kind == Undone:
			e.Status = act.Status(w)
		case e.Kind == Checked:
			e.Truth = Truth(w)
		case strings.HasPrefix(w, "#"):
			n, err := strconv.Atoi(w[1:])
			if err != nil {
				t.Fatal(err)
			}
			e.Attempt = n
		default:
			e.Says = w
		}
	}
	if e.Kind == Started || e.Kind == Allowed || e.Kind == Resumed {
		e.Step, e.Target, e.Attempt, e.Says = "", "", 0, ""
		for _, w := range words[1:] {
			if !granted(t, &e, w) {
				e.Until = w
			}
		}
	}
	if e.Kind == Replaced {
		e.Says = words[1]
	}
	return e
}

// granted reads what an event lets begin: votes=2, from=10m (after the event), glass.
func granted(t *testing.T, e *Event, word string) bool {
	name, value, _ := strings.Cut(word, "=")
	switch name {
	case "votes":
		n, err := strconv.Atoi(value)
		if err != nil {
			t.Fatal(err)
		}
		e.Votes = n
	case "from":
		d, err := time.ParseDuration(value)
		if err != nil {
			t.Fatal(err)
		}
		e.From = time.Time{}.Add(d)
	case "glass":
		e.Glass = true
	default:
		return false
	}
	return true
}
