package carry_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"staunch/reach/act"
)

func TestWhatNoUndoNeedsAnyMoreIsThrownAway(t *testing.T) {
	s := newSite(t)
	now := time.Now()
	s.Now = func() time.Time { return now }
	s.write("etc/hooks/hang", "#!/bin/sh\nsleep 60\n", 0o755)
	place := func(id, text, validator string) act.Order {
		return newOrder(t, id, act.Place, &act.PlaceWith{Validator: validator, Files: []act.File{{Path: s.dir + "/srv/" + id, Pieces: []act.Piece{{Text: text}}}}})
	}
	kept := func() int {
		dirs, err := filepath.Glob(s.Places.State + "/undo/*")
		if err != nil {
			t.Fatal(err)
		}
		return len(dirs)
	}
	s.write("srv/old", "before\n", 0o644)
	s.write("srv/hanging", "before\n", 0o644)
	old := place("old", "after\n", "")
	s.want(old, act.Done, "")
	hanging := place("hanging", "after\n", "hook:hang")
	hanging.DeadlineMS = 200
	s.want(hanging, act.Unknown, "the old files are back")
	unknown := newOrder(t, "unknown", act.Hook, &act.HookWith{Name: "hang"})
	unknown.DeadlineMS = 200
	s.want(unknown, act.Unknown, "")
	open := filepath.Join(s.Places.State, "undo", "of-nobody")
	if err := os.MkdirAll(open, 0o700); err != nil {
		t.Fatal(err)
	}

	now = now.Add(29 * 24 * time.Hour)
	s.want(place("month", "x\n", ""), act.Done, "")
	if kept() != 3+1 {
		t.Errorf("%d directories after 29 days", kept())
	}
	now = now.Add(2 * 24 * time.Hour)
	s.want(place("later", "x\n", ""), act.Done, "")
	if kept() != 3 { // month and later, and what has no end
		t.Errorf("%d directories after 31 days", kept())
	}
	s.want(undoOf(old), act.Refused, "thrown away after 30 days")
	if got := s.read("srv/old"); got != "after\n" {
		t.Errorf("the refused undo changed something: %q", got)
	}
	// the journal still knows every order
	if out := s.want(old, act.Done, ""); !out.Repeat {
		t.Error("an order was done again")
	}
	if left, err := s.Unfinished(); err != nil || len(left) != 2 {
		t.Errorf("unfinished: %v, %v", left, err)
	}
}
