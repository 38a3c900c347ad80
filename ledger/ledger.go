// Package ledger is the log that is the only truth: facts in one order, which nobody can change without it being seen.
package ledger

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"staunch/fault"
)

// Position is a place in one stream: the number of events that it holds.
type Position = int64

// Positions that are not numbers of events.
const (
	Any   Position = -1 // append wherever the stream ends now
	Empty Position = 0  // append only if the stream does not exist yet
)

// Ledger is an append-only log of events. A write has three outcomes, see OutcomeOf.
type Ledger interface {
	// Append adds events to the end of stream, all or none, if the stream holds exactly `after` events (or after is Any).
	// When it returns nil the events are accepted: ordered, and visible to every reader. Appending events again by their ids changes
	// nothing and returns the receipt of the first time with Repeat set, whatever `after` says. Another event under a known id,
	// and another end of the stream, are Conflict. Only an Unsure error leaves open whether they were written: append the same again.
	Append(ctx context.Context, stream string, after Position, events ...Event) (Receipt, error)
	// Read yields what is there now, in global order, and ends.
	Read(ctx context.Context, q Query) iter.Seq2[Event, error]
	// Follow yields what is there, then what comes, until ctx ends (which is no error); resume by Query.After.
	Follow(ctx context.Context, q Query) iter.Seq2[Event, error]
	Close() error
}

// Query selects events. The zero Query selects all.
type Query struct {
	Stream string // only this stream; "incident/*" selects every stream with that beginning; "" all
	After  int64  // only events with a greater Seq
	Limit  int    // at most so many; 0: all
}

// Match tells whether e is selected, Limit aside.
func (q Query) Match(e Event) bool {
	if e.Seq <= q.After {
		return false
	}
	if prefix, many := strings.CutSuffix(q.Stream, "*"); many {
		return strings.HasPrefix(e.Stream, prefix)
	}
	return q.Stream == "" || q.Stream == e.Stream
}

// Receipt says where events went, and can be asked for a stronger promise.
type Receipt struct {
	First, Last int64    // global order of the first and last event
	Pos         Position // the stream's end after them
	Repeat      bool     // they were there already
	// Promise waits for a class; stores set it. Nil: the store promises no more than Accepted.
	Promise func(ctx context.Context, c Class) error
}

// Wait returns nil once the events are as safe as c says. A class that the store lacks is Unsupported, at once.
func (r Receipt) Wait(ctx context.Context, c Class) error {
	if c == Accepted {
		return nil
	}
	if r.Promise == nil {
		return Lacks("this store", c)
	}
	return r.Promise(ctx, c)
}

// Class is how safe a write is known to be.
type Class string

// The classes. Copies and Majority count servers that hold the event in memory; OnDisk is the disk of the store's own machine.
const (
	Accepted Class = "accepted" // the store has ordered it and shows it to readers
	OnDisk   Class = "on_disk"  // it survives a power loss of the store's machine
	Majority Class = "majority" // more than half of all servers have it
	All      Class = "all"      // every server has it
)

// Copies is the class: n servers hold it.
func Copies(n int) Class { return Class(fmt.Sprintf("copies(%d)", n)) }

// Count returns n of Copies(n).
func (c Class) Count() (int, bool) {
	inner, ok := strings.CutPrefix(string(c), "copies(")
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(strings.TrimSuffix(inner, ")"))
	return n, err == nil && n > 0 && c == Copies(n)
}

// Lacks is the answer of a store that cannot promise c.
func Lacks(store string, c Class) error {
	return fault.New(fault.Unsupported, "%s cannot promise %q", store, c).
		Hinted("a class above on_disk needs a store with more than one server")
}

// Outcome is how a write ended.
type Outcome string

// The three outcomes.
const (
	Done    Outcome = "done"    // it is there
	Refused Outcome = "refused" // it is not there, and will not be
	Unsure  Outcome = "unsure"  // it may be there: append the same events again, ids make that safe
)

// OutcomeOf reads the outcome from Append's error.
func OutcomeOf(err error) Outcome {
	switch {
	case err == nil:
		return Done
	case fault.Is(err, fault.Unsure):
		return Unsure
	}
	return Refused
}
