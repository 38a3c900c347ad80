package incident

import (
	"time"

	"staunch/fault"
)

// Notice is something that people were told, or should have been, by the inventory's notify command.
type Notice struct {
	Key    string `json:"key"`          // what it is about: told once
	Kind   string `json:"kind"`         // notify.Message's
	To     string `json:"to,omitempty"` // "": everybody
	Says   string `json:"says"`
	Failed string `json:"failed,omitempty"` // why it did not reach them
}

// retold is how long a notice that could not be sent waits before it is tried again.
const retold = 5 * time.Minute

// Told notes a notice and how it went.
type Told struct{ Notice Notice }

func (c Told) decide(_ *Incident, d *decision) error {
	n := c.Notice
	if n.Key == "" || n.Says == "" {
		return fault.New(fault.Bug, "a notice about nothing")
	}
	says := "told " + everybody(n.To) + ": " + n.Says
	if n.Failed != "" {
		says = "COULD NOT TELL " + everybody(n.To) + ": " + n.Says + " (" + n.Failed + ")"
	}
	d.add(Event{Kind: WasTold, Says: says, Notice: &n})
	return nil
}

func everybody(to string) string {
	if to == "" {
		return "everybody"
	}
	return to
}

// Owes tells whether people are still to be told something: never told, or told longer ago than every (0: once is enough).
func (s *Incident) Owes(key string, every time.Duration, now time.Time) bool {
	if failed, was := s.untold[key]; was && now.Sub(failed) < retold {
		return false
	}
	at, was := s.told[key]
	return !was || every > 0 && now.Sub(at) >= every
}

func foldTold(s *Incident, e *Event) {
	if e.Notice.Failed != "" {
		s.untold[e.Notice.Key] = e.At
		return
	}
	delete(s.untold, e.Notice.Key)
	s.told[e.Notice.Key] = e.At
}
