// Package host is one machine: what it can be asked, and what it can be told to do.
package host

import (
	"context"
	"encoding/json"
	"io"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/see/scan"
)

// Host is one machine with two verbs. Look never changes anything; Do carries out exactly one order.
// Errors are faults: Unreachable means nothing was done, Unsure means it may have been.
type Host interface {
	Name() string
	Look(ctx context.Context, q Question, p func(Progress)) (Answer, error)
	Do(ctx context.Context, o act.Order, p func(Progress)) (act.Outcome, error)
	Close() error
}

// Store is a second, optional ability: taking payloads by content.
type Store interface {
	Put(ctx context.Context, sha256 string, r io.Reader) error
}

// Progress is one step of long work; Total 0 means the end is not known.
type Progress struct {
	Says  string `json:"says"`
	Done  int64  `json:"done,omitempty"`
	Total int64  `json:"total,omitempty"`
}

// Question has exactly one field set.
type Question struct {
	Scan   *scan.Question  `json:"scan,omitempty"`
	Probe  json.RawMessage `json:"probe,omitempty"` // see/probe.Question
	Keys   json.RawMessage `json:"keys,omitempty"`  // see/keys.Question
	Health *HealthQuestion `json:"health,omitempty"`
	Check  *act.Order      `json:"check,omitempty"` // previews an order without doing it
}

// HealthQuestion asks whether the host and named units are well.
type HealthQuestion struct {
	Units []string `json:"units,omitempty"`
	Tries []Try    `json:"tries,omitempty"`
}

// Try is one question to a service, asked from the host itself. Exactly one of TCP and URL is set.
type Try struct {
	TCP      string `json:"tcp,omitempty"`    // host:port accepts a connection
	URL      string `json:"url,omitempty"`    // answers a GET
	Status   int    `json:"status,omitempty"` // with URL; 0: any of 200-399
	WithinMS int64  `json:"within_ms,omitempty"`
}

// Tried is what came of a Try.
type Tried struct {
	Try
	OK   bool   `json:"ok"`
	Says string `json:"says"`
}

// Answer has the same field set as its question.
type Answer struct {
	Scan   *scan.Report    `json:"scan,omitempty"`
	Probe  json.RawMessage `json:"probe,omitempty"`
	Keys   json.RawMessage `json:"keys,omitempty"`
	Health *Health         `json:"health,omitempty"`
	Check  *act.Preview    `json:"check,omitempty"`
}

// Health is what a host says of itself: also what hosts --check shows.
type Health struct {
	Systemd  bool             `json:"systemd"`
	Root     bool             `json:"root"`
	Units    []UnitHealth     `json:"units,omitempty"`
	Tries    []Tried          `json:"tries,omitempty"`
	DiskFree map[string]int64 `json:"disk_free,omitempty"` // mount point to bytes
	ClockMS  int64            `json:"clock_ms"`            // Unix milliseconds on the host
	Version  string           `json:"version"`
	Problems []string         `json:"problems,omitempty"`
}

// UnitHealth is one unit's state as systemd tells it.
type UnitHealth struct {
	Name    string `json:"name"`
	Active  string `json:"active"` // active, failed, inactive ...
	Sub     string `json:"sub"`
	MainPID int    `json:"main_pid,omitempty"`
}

// One refuses a question that does not ask exactly one thing.
func (q Question) One() error {
	n := 0
	for _, set := range []bool{q.Scan != nil, q.Probe != nil, q.Keys != nil, q.Health != nil, q.Check != nil} {
		if set {
			n++
		}
	}
	if n != 1 {
		return fault.New(fault.Usage, "a question asks exactly one thing, this one asks %d", n)
	}
	return nil
}

// Kind names what a question asks: scan, probe, keys, health or check; "" for one that does not ask exactly one thing.
func (q Question) Kind() string {
	switch {
	case q.One() != nil:
		return ""
	case q.Scan != nil:
		return "scan"
	case q.Probe != nil:
		return "probe"
	case q.Keys != nil:
		return "keys"
	case q.Health != nil:
		return "health"
	}
	return "check"
}

// Kind names what an answer holds, in the words of Question.Kind.
func (a Answer) Kind() string {
	return Question{Scan: fill(a.Scan, &scan.Question{}), Probe: a.Probe, Keys: a.Keys, Health: fill(a.Health, &HealthQuestion{}), Check: fill(a.Check, &act.Order{})}.Kind()
}

// fill is with where what is set.
func fill[A, B any](what *A, with *B) *B {
	if what == nil {
		return nil
	}
	return with
}
