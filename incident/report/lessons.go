package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"staunch/incident"
	"staunch/inventory"
	"staunch/phrase"
)

// lessons are what people wrote, and what the record itself shows.
func (r *Report) lessons(s *incident.Incident) {
	for _, l := range s.Lessons {
		switch l.Kind {
		case "well":
			r.Well = append(r.Well, l.Says)
		case "wrong":
			r.Wrong = append(r.Wrong, l.Says)
		}
	}
	r.well(s)
	r.wrong(s)
}

func (r *Report) well(s *incident.Incident) {
	for _, m := range s.Milestones {
		if m.Milestone == incident.PublicClean || m.Milestone == incident.AllClean {
			r.Well = append(r.Well, fmt.Sprintf("%s after %s", m.Says, m.At.Sub(s.OpenedAt).Round(time.Second)))
		}
	}
	n := r.happened("run.proven")
	if n > 0 && len(r.failures()) == 0 {
		r.Well = append(r.Well, fmt.Sprintf("%s, each proved by a fresh look, and none failed", phrase.Count(n, "step was carried out", "steps were carried out")))
	}
	if n := r.resumed(); n > 0 {
		r.Well = append(r.Well, fmt.Sprintf("the run broke off %s and went on where it was", phrase.Count(n, "time", "times")))
	}
}

func (r *Report) wrong(s *incident.Incident) {
	r.Wrong = append(r.Wrong, r.failures()...)
	for _, h := range s.In(inventory.Unknown) {
		r.Wrong = append(r.Wrong, fmt.Sprintf("%s is unknown to the end (%s)", h.Host, h.Why))
	}
	for _, w := range s.Words {
		if w.Kind == "break_glass" {
			r.Wrong = append(r.Wrong, w.By+" broke the glass: a plan ran without the votes that it asks for")
		}
	}
	if len(s.Searches) == 0 && s.Impact.Follows != incident.FollowNothing {
		r.Wrong = append(r.Wrong, "nobody recorded a search for signs of exploitation")
	}
	if n := s.Amended; n > 0 {
		r.Wrong = append(r.Wrong, "the advisory changed "+phrase.Count(n, "time", "times")+" while the work went on")
	}
}

func (r *Report) happened(kind string) int {
	n := 0
	for _, l := range r.Timeline {
		if l.Kind == kind {
			n++
		}
	}
	return n
}

// failures are the lines of the runs that say that something failed.
func (r *Report) failures() []string {
	var list []string
	for _, l := range r.Timeline {
		switch l.Kind {
		case "run.unproven", "run.aborted", "run.undone", "run.skipped":
			list = append(list, l.Says)
		}
	}
	return list
}

// resumed counts how often a runner found work that another one had begun: taken once more than started by a person to the end.
func (r *Report) resumed() int {
	n, runs := 0, map[string]bool{}
	for _, l := range r.Timeline {
		if l.Kind != "run.taken" {
			continue
		}
		plan, _, _ := strings.Cut(l.Says, ":")
		if runs[plan] {
			n++
		}
		runs[plan] = true
	}
	return n
}

// Action is something that somebody still has to do.
type Action struct {
	ID    string // of its checklist entry; "" where it has none
	Says  string
	Owner string // "" where nobody is named
	Due   time.Time
}

func (r *Report) actions(s *incident.Incident) {
	for _, l := range s.Lessons {
		if l.Kind == "action" {
			r.Actions = append(r.Actions, Action{Says: l.Says, Owner: l.Owner})
		}
	}
	for _, h := range slices.Concat(s.In(inventory.Affected), s.In(inventory.Unknown)) {
		does := "look at"
		if h.State == inventory.Affected {
			does = "repair"
		}
		r.Actions = append(r.Actions, Action{Says: strings.TrimSuffix(fmt.Sprintf("%s %s (%s)", does, h.Host, h.Why), " ()")})
	}
	if s.Impact.Harm == incident.Unjudged {
		r.Actions = append(r.Actions, Action{Says: "decide what the bug can do, and what must follow"})
	}
	for _, e := range s.Checklist {
		if e.State == incident.OpenEntry {
			r.Actions = append(r.Actions, Action{ID: e.ID, Says: e.Says, Owner: e.Owner, Due: e.Due})
		}
	}
}
