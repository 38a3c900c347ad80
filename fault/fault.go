// Package fault holds errors that a person can act on: a kind that programs branch on, what went wrong, and a hint.
package fault

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Kind classes a fault by what its receiver can do about it. Kinds are part of the wire: never rename one.
type Kind string

// The closed set of kinds.
const (
	Usage       Kind = "usage"       // the request itself is wrong; repeating it will not help
	NotFound    Kind = "not_found"   // the thing named does not exist
	Denied      Kind = "denied"      // rights, policy, a missing or invalid mandate
	Unreachable Kind = "unreachable" // nobody answered; whether anything was done is known to be "no"
	Timeout     Kind = "timeout"     // a deadline ran out
	Conflict    Kind = "conflict"    // somebody else was first, or the state is not the one expected
	Corrupt     Kind = "corrupt"     // input or stored data that cannot be trusted
	Unsupported Kind = "unsupported" // understood, but not possible here
	Full        Kind = "full"        // no room: disk, quota, limit
	Unsure      Kind = "unsure"      // the act may or may not have happened: check before doing it again
	Bug         Kind = "bug"         // ours
)

// Error is a fault with an optional hint (what to do next) and an optional cause that callers may branch on.
type Error struct {
	Kind  Kind
	What  string
	Hint  string
	Cause error
}

// New makes a fault without a hint.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, What: fmt.Sprintf(format, args...)}
}

// Hinted returns a copy of e that carries the hint.
func (e *Error) Hinted(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// Caused returns a copy of e that wraps cause: a promise that callers may branch on it.
func (e *Error) Caused(cause error) *Error {
	c := *e
	c.Cause = cause
	return &c
}

// Error returns what went wrong, with the cause behind it.
func (e *Error) Error() string {
	if e.Cause != nil {
		return e.What + ": " + e.Cause.Error()
	}
	return e.What
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// KindOf returns the kind of the outermost fault in err's chain, Bug for any other error, and "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var f *Error
	if errors.As(err, &f) {
		return f.Kind
	}
	return Bug
}

// Is reports whether err is a fault of this kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }

// HintOf returns the hint of the outermost fault that has one.
func HintOf(err error) string {
	for err != nil {
		var f *Error
		if !errors.As(err, &f) {
			return ""
		}
		if f.Hint != "" {
			return f.Hint
		}
		err = f.Cause
	}
	return ""
}

type wire struct {
	Kind Kind   `json:"kind"`
	What string `json:"what"`
	Hint string `json:"hint,omitempty"`
}

// MarshalJSON keeps kind, text and hint; the cause becomes part of the text.
func (e *Error) MarshalJSON() ([]byte, error) {
	return json.Marshal(wire{Kind: e.Kind, What: e.Error(), Hint: HintOf(e)})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (e *Error) UnmarshalJSON(b []byte) error {
	var w wire
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*e = Error{Kind: w.Kind, What: w.What, Hint: w.Hint}
	return nil
}

// From returns err as a fault: itself if it is one, else wrapped as kind.
func From(err error, kind Kind) *Error {
	if err == nil {
		return nil
	}
	var f *Error
	if errors.As(err, &f) {
		return f
	}
	return &Error{Kind: kind, What: err.Error(), Cause: nil}
}
