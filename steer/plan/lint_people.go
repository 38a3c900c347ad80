package plan

import (
	"time"

	"staunch/reach/act"
)

// maxWaiver is the longest time that a person may accept to stay vulnerable in one signature.
const maxWaiver = 90 * 24 * time.Hour

func personSteps(v *view) (out []Problem) {
	for _, s := range v.Steps {
		if s.Kind != Person {
			continue
		}
		switch {
		case s.Task == nil || s.Task.Owner == "":
			out = append(out, bad(s.ID, "is for a person, but has no owner"))
		case s.Task.Asks == "":
			out = append(out, bad(s.ID, "does not say what %s has to do", s.Task.Owner))
		case s.Task.Due.IsZero():
			out = append(out, bad(s.ID, "does not say until when"))
		}
	}
	return out
}

func waivers(v *view) (out []Problem) {
	for _, w := range v.Waivers {
		switch {
		case w.Host == "" || w.Advisory == "" || w.By == "":
			out = append(out, Problem{Says: "a waiver without host, advisory or person"})
		case w.Reason == "":
			out = append(out, bad(w.Step, "the waiver for %s has no reason", w.Host))
		case !w.Until.After(v.world.Now):
			out = append(out, bad(w.Step, "the waiver for %s ended at %s", w.Host, w.Until.Format(time.RFC3339)))
		case w.Until.Sub(v.world.Now) > maxWaiver:
			out = append(out, bad(w.Step, "the waiver for %s ends later than in 90 days", w.Host))
		}
	}
	return out
}

func expiry(v *view) []Problem {
	switch {
	case v.Expires.IsZero():
		return []Problem{{Says: "the plan never expires"}}
	case !v.Expires.After(v.world.Now):
		return []Problem{bad("", "the plan expired at %s; make a new one from what is true now", v.Expires.Format(time.RFC3339))}
	}
	return nil
}

func quorum(v *view) (out []Problem) {
	for _, s := range v.Steps {
		want := 1
		if ring, at := v.RingOf(s.Ring); at >= 0 && !s.Safer && s.Changes() {
			want = max(want, ring.Quorum)
		}
		if s.Kind == Revoke {
			want = max(want, v.revokers())
		}
		if s.Votes < want {
			out = append(out, bad(s.ID, "asks for %d votes where %d are needed", s.Votes, want))
		}
	}
	return out
}

// revokers is the number of votes for a revocation: as many as the strictest ring asks for. Only where every ring is content with one vote, so is this.
func (v *view) revokers() int {
	most := 1
	for _, r := range v.Rings {
		most = max(most, r.Quorum)
	}
	return most
}

func saferKinds(v *view) (out []Problem) {
	for _, s := range v.Steps {
		if !s.Safer || !s.Changes() {
			continue
		}
		if s.Kind != Act || s.Act == nil || !saferAct(s.Act.Kind) {
			out = append(out, bad(s.ID, "calls itself safer, but is a %s", s.what()))
		}
	}
	return out
}

func saferAct(k act.Kind) bool {
	switch k {
	case act.Stop, act.Mask, act.Drain, act.Restart, act.Reload:
		return true
	}
	return false
}

func (s *Step) what() string {
	if s.Act != nil {
		return string(s.Act.Kind)
	}
	return string(s.Kind)
}

func retries(v *view) (out []Problem) {
	for _, s := range v.Steps {
		if s.Tries > 1 && !s.Repeat {
			out = append(out, bad(s.ID, "is tried %d times although doing it twice may do harm", s.Tries))
		}
		if s.Tries < 1 {
			out = append(out, bad(s.ID, "is never tried"))
		}
	}
	return out
}

func deadlines(v *view) (out []Problem) {
	for _, s := range v.Steps {
		if s.DeadlineMS <= 0 && s.Kind != Person {
			out = append(out, bad(s.ID, "has no deadline"))
		}
	}
	return out
}

func soaks(v *view) (out []Problem) {
	for _, s := range v.Steps {
		if s.SoakMS != 0 && s.Kind != Gate || s.SoakMS < 0 {
			out = append(out, bad(s.ID, "watches for a while, but is a %s", s.Kind))
		}
	}
	return out
}
