// Package run carries a plan out so that a crash at any line resumes correctly: a pure machine, and a thin driver that records before it acts.
package run

import (
	"time"

	"staunch/reach/act"
	"staunch/steer/plan"
)

// Kind names one thing that happened in a run. Kinds are stored for ever: never rename one.
type Kind string

// What happens in a run. The first group is written by the runner, the second by people.
const (
	Taken     Kind = "taken"    // a runner took over; whatever was begun and not answered is unknown from here on
	Held      Kind = "held"     // a target's needs do not hold yet, or its host does not answer
	Begun     Kind = "begun"    // written before the act; from here on the act may have happened
	Answered  Kind = "answered" // the act's outcome
	Checked   Kind = "checked"  // after an unknown outcome: it happened, or not, or nobody can tell
	Lacks     Kind = "lacks"    // a proof does not hold yet; it is looked for again until the deadline
	Proven    Kind = "proven"   // every proof was observed to hold
	Unproven  Kind = "unproven" // a proof did not hold when the deadline ran out, or no longer holds
	UndoBegun Kind = "undo_begun"
	Undone    Kind = "undone" // the undo's outcome

	Started   Kind = "started"   // somebody began the run, up to a ring if Until is set
	Paused    Kind = "paused"    // begin nothing new
	Resumed   Kind = "resumed"   //
	Retried   Kind = "retried"   // a failed target goes again
	Skipped   Kind = "skipped"   // a target is left out, with a reason
	Confirmed Kind = "confirmed" // a person did a person's step
	Aborted   Kind = "aborted"   // nothing begins any more, ever
	Allowed   Kind = "allowed"   // the votes were counted anew
	Replaced  Kind = "replaced"  // a newer plan (Says) took this one's place: hosts in their turn finish it, nothing else begins any more
)

// NoVotes is Event.Votes when the votes were counted and there are none.
const NoVotes = -1

// Truth is what looking gave. Unknown is never yes.
type Truth string

// The three answers.
const (
	Yes     Truth = "yes"
	No      Truth = "no"
	Unknown Truth = "unknown"
)

// Event is one fact of a run, in the order of Seq.
type Event struct {
	Seq     int64      `json:"seq"` // from 1, without gaps
	At      time.Time  `json:"at"`
	Kind    Kind       `json:"kind"`
	Plan    string     `json:"plan"`             // digest of the plan's document
	Step    string     `json:"step,omitempty"`   // step id
	Target  string     `json:"target,omitempty"` // plan.Target.Key
	Attempt int        `json:"attempt,omitempty"`
	Status  act.Status `json:"status,omitempty"` // answered, undone
	Truth   Truth      `json:"truth,omitempty"`  // checked
	Silent  bool       `json:"silent,omitempty"` // held: the host does not answer at all
	Final   bool       `json:"final,omitempty"`  // held: waiting cannot help
	Says    string     `json:"says,omitempty"`   // what was seen, or a person's reason
	By      string     `json:"by,omitempty"`     // who; the runner's name for taken
	Until   string     `json:"until,omitempty"`  // started, resumed: the last ring to work on
	Up      bool       `json:"up,omitempty"`     // skipped: the person says that the service on that host is up
	Votes   int        `json:"votes,omitempty"`  // started, allowed: people whose votes count; what asks for more does not begin. NoVotes: none; 0: nobody counted
	Glass   bool       `json:"glass,omitempty"`  // started, allowed: somebody broke the glass, so that nothing waits for votes or for From
	From    time.Time  `json:"from,omitzero"`    // started, allowed: nothing begins before it, the delay of a team of one
}

// Seen is what one look gave.
type Seen struct {
	Truth  Truth
	Says   string
	Silent bool // nobody answered
	Final  bool // looking again cannot give another answer: the host has left the fleet
}

// Work is one step on one target, as an executor gets it.
type Work struct {
	ID      string // plan digest, step, target, attempt: never used for another act
	Digest  string // of the plan's document
	Plan    *plan.Plan
	Step    *plan.Step
	Target  plan.Target
	Attempt int
	Began   time.Time // when the first attempt on this target was recorded: what must be newer than the step is newer than this
	Undo    bool      // carry out the step's undo instead
}
