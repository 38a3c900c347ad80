package plan

import (
	"slices"
	"strings"
	"time"

	"staunch/fault"
)

// Urgency is how much waiting the situation allows.
type Urgency string

// The three paces.
const (
	Now     Urgency = "now"     // not moving forward is the greater risk
	Tonight Urgency = "tonight" // the default
	Week    Urgency = "week"    // a careful rollout
)

// Pace is the urgency as data: everything that it changes stands here, and what it gave up is written out for the voters.
type Pace struct {
	Urgency Urgency `json:"urgency"`
	SoakMS  int64   `json:"soak_ms"` // per ring, before the next may begin
	// WidthFactor multiplies a ring's width, but never what a service allows to be down.
	WidthFactor int `json:"width_factor"`
	// StopAfter failed targets in one ring, nothing new begins. 1 is "stop at the first failed proof".
	StopAfter int `json:"stop_after"`
	// LeaveSilent goes on without hosts that do not answer; they stay named as unseen. At least one host of each step must still be proven.
	LeaveSilent bool     `json:"leave_silent"`
	GaveUp      []string `json:"gave_up,omitempty"`
}

// PaceOf returns the numbers of one urgency.
func PaceOf(u Urgency) (Pace, error) {
	switch u {
	case Now:
		return Pace{
			Urgency: Now, SoakMS: ms(time.Minute), WidthFactor: 4, StopAfter: 1, LeaveSilent: true,
			GaveUp: []string{
				watched + "1 minute instead of 30: what breaks only after minutes reaches the next ring",
				"4 times as many hosts change at once, though never more of a service than it allows to be down",
				"a host that does not answer is left behind and named, instead of stopping the run",
			},
		}, nil
	case Tonight, "":
		return Pace{
			Urgency: Tonight, SoakMS: ms(30 * time.Minute), WidthFactor: 1, StopAfter: 1,
			GaveUp: []string{watched + "30 minutes instead of a day: what breaks only at peak load may reach the next ring"},
		}, nil
	case Week:
		return Pace{Urgency: Week, SoakMS: ms(24 * time.Hour), WidthFactor: 1, StopAfter: 1}, nil
	}
	return Pace{}, fault.New(fault.Usage, "unknown urgency %q", string(u)).Hinted("one of now, tonight, week")
}

// watched begins the sentence of what a shorter watch gives up.
const watched = "each ring is watched for "

// Watch sets for how long each ring is watched, whatever the urgency says, and tells voters that instead.
func (p *Pace) Watch(d time.Duration) {
	p.SoakMS = ms(d)
	p.GaveUp = slices.DeleteFunc(p.GaveUp, func(s string) bool { return strings.HasPrefix(s, watched) })
	p.GaveUp = append(p.GaveUp, watched+d.String()+", as was asked for")
}

func ms(d time.Duration) int64 { return d.Milliseconds() }
