// Package incident is one advisory's night: what it touches, what could have leaked, what was planned, done, left open, and the report of it.
package incident

import (
	"encoding/json"
	"time"

	"staunch/fault"
	"staunch/incident/blast"
	"staunch/inventory"
	"staunch/see/advisory"
)

// Kind names one thing that happened in an incident. Kinds are stored for ever: never rename one.
type Kind string

// What happens in an incident.
const (
	WasOpened    Kind = "opened"
	WasLooked    Kind = "looked"    // what the advisory means for hosts; only what changed
	WasJudged    Kind = "impact"    // what the bug can leak or break, by the table or by a person
	WasAmended   Kind = "advisory"  // the advisory was named, corrected or withdrawn
	WasTraced    Kind = "blast"     // which keys and secrets affected processes could see
	WasPlanned   Kind = "planned"   // a plan was made; an earlier one that it replaces is void
	WasVoted     Kind = "voted"     // somebody signed a plan's digest
	WasSaid      Kind = "word"      // somebody signed something else than a vote: a broken glass, its review, a standing vote
	WasEntered   Kind = "checklist" // an entry for a person was added or changed
	WasReminded  Kind = "reminded"  // an entry's owner was told that it is due
	WasCommented Kind = "commented" //
	WasSearched  Kind = "searched"  // somebody looked for signs of exploitation
	WasReached   Kind = "milestone" //
	WasNoted     Kind = "lesson"    // what went well or wrong, an action item
	WasRenamed   Kind = "renamed"   // a host is called otherwise now
	WasClosed    Kind = "closed"    //
	WasReopened  Kind = "reopened"  //
	WasTold      Kind = "told"      // people were told something by the notify command, or could not be
)

// Event is one fact of an incident. Says is a whole sentence, so that a timeline needs nothing else; the part that belongs to the kind is set beside it.
type Event struct {
	Kind Kind      `json:"-"`
	At   time.Time `json:"-"`
	By   string    `json:"-"`

	Says      string        `json:"says"`
	Opened    *Opened       `json:"opened,omitempty"`
	Looked    *Looked       `json:"looked,omitempty"`
	Impact    *Impact       `json:"impact,omitempty"`
	Advisory  *Advisory     `json:"advisory,omitempty"`
	Blast     *blast.Radius `json:"blast,omitempty"`
	Planned   *Planned      `json:"planned,omitempty"`
	Vote      *Vote         `json:"vote,omitempty"`
	Word      *Word         `json:"word,omitempty"`
	Entry     *Entry        `json:"entry,omitempty"`
	Search    *Search       `json:"search,omitempty"`
	Milestone Milestone     `json:"milestone,omitempty"`
	Lesson    *Lesson       `json:"lesson,omitempty"`
	Renamed   *[2]string    `json:"renamed,omitempty"` // old name, new name
	Notice    *Notice       `json:"notice,omitempty"`
}

// Opened says how an incident began.
type Opened struct {
	ID        string `json:"id"`                  // "7"
	Title     string `json:"title"`               //
	From      string `json:"from"`                // advisory, hand, heard
	Component string `json:"component,omitempty"` // from hand or heard: what it is about
	// Selector names the hosts, where somebody opened it by hand for a part of the fleet.
	Selector string   `json:"selector,omitempty"`
	Hosts    []string `json:"hosts,omitempty"`
}

// Advisory is what was known of the advisory then: a copy, so that a later correction shows as a difference.
type Advisory struct {
	ID             string            `json:"id"`
	Names          []string          `json:"names,omitempty"`
	Severity       advisory.Severity `json:"severity,omitempty"`
	CVSS           string            `json:"cvss,omitempty"`
	CWE            []string          `json:"cwe,omitempty"`
	KnownExploited bool              `json:"known_exploited,omitempty"`
	Published      time.Time         `json:"published,omitzero"`
	Modified       time.Time         `json:"modified,omitzero"`
	Withdrawn      bool              `json:"withdrawn,omitempty"`
	Digest         string            `json:"digest"` // over its ranges and rule: changes of them show
}

// Looked is what one look at the whole fleet changed.
type Looked struct {
	Catalogue time.Time   `json:"catalogue_date"`
	Known     int         `json:"hosts_known"`
	Seen      int         `json:"hosts_seen"`
	Hosts     []HostState `json:"hosts"`          // those whose state is not what the look before gave
	Gone      []string    `json:"gone,omitempty"` // were in the fleet before
	More      bool        `json:"more,omitempty"` // the rest follows in the next event
}

// HostState is one host's answer with the units that make it up.
type HostState struct {
	inventory.HostAnswer
	Units []UnitState `json:"units,omitempty"`
}

// UnitState is one unit with something affected, stale, dormant or unknown in it.
type UnitState struct {
	Unit      string `json:"unit"`
	Process   string `json:"process"`
	State     string `json:"state"` // as a finding's
	Component string `json:"component"`
	Version   string `json:"version"`
	Exposure  string `json:"exposure"` // in
	Fix       string `json:"fix,omitempty"`
	Count     int    `json:"count"` // processes
}

// Planned says which plan was made.
type Planned struct {
	Plan      string   `json:"plan"` // "7.1"
	Digest    string   `json:"digest"`
	Parent    string   `json:"parent,omitempty"`
	Title     string   `json:"title"`
	Steps     int      `json:"steps"`
	Hosts     int      `json:"hosts"`
	GaveUp    []string `json:"gave_up,omitempty"`
	Because   string   `json:"because,omitempty"` // why a plan replaced the one before
	Carried   []string `json:"carried,omitempty"` // votes of the parent that a standing widen vote lets count
	Remaining []string `json:"unseen,omitempty"`  // hosts that it does not reach
}

// Vote is one person's signature under one plan.
type Vote struct {
	Plan   string          `json:"plan"`
	Digest string          `json:"digest"`
	Voter  string          `json:"voter"`
	Key    string          `json:"key,omitempty"`  // fingerprint of the key that signed
	At     time.Time       `json:"-"`              // when the ledger took it
	Body   json.RawMessage `json:"body,omitempty"` // the vote as steer/vote keeps it
}

// Word is a signed statement that is not a vote.
type Word struct {
	By   string          `json:"by"`
	Kind string          `json:"kind"` // break_glass, review, widen, stay_vulnerable
	Body json.RawMessage `json:"body"` // as steer/vote keeps it
}

// Entry is something a person has to see to.
type Entry struct {
	ID     string        `json:"id"`
	Says   string        `json:"says"`
	Owner  string        `json:"owner"` // "" : nobody yet, which the brief says loudly
	Due    time.Time     `json:"due,omitzero"`
	Every  time.Duration `json:"remind_every_ns,omitempty"`
	State  EntryState    `json:"state"`
	Reason string        `json:"reason,omitempty"` // of a drop, or what was done
}

// EntryState is how an entry stands.
type EntryState string

// States of an entry.
const (
	OpenEntry EntryState = "open"
	DoneEntry EntryState = "done"
	Dropped   EntryState = "dropped" // with a reason
)

// Search is one search for signs that the bug was used against us.
type Search struct {
	What   string    `json:"what"`             // what was searched: "proxy logs for heartbeats"
	Since  time.Time `json:"since,omitzero"`   // the search covers from then
	Found  string    `json:"found"`            // nothing, signs, unsure
	Says   string    `json:"says,omitempty"`   //
	Cannot string    `json:"cannot,omitempty"` // what could not be searched, and why
}

// Milestone is a state of the whole that is worth a line of its own.
type Milestone string

// Milestones. "Seen" matters: each is about the hosts that were seen, and its sentence says how many of the known ones those are.
const (
	PublicClean Milestone = "public_clean" // nothing affected is left that strangers can reach or that talks to strangers
	AllClean    Milestone = "all_clean"    // nothing affected is left
	PublicDirty Milestone = "public_again" // after it was clean
	AllSeen     Milestone = "all_seen"     // no host is unknown
)

// Lesson is a line for the end of the report.
type Lesson struct {
	Kind  string `json:"kind"` // well, wrong, action
	Says  string `json:"says"`
	Owner string `json:"owner,omitempty"`
}

// Encode is the event's data as the ledger keeps it.
func (e Event) Encode() (json.RawMessage, error) {
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fault.New(fault.Bug, "event %s: %v", e.Kind, err)
	}
	return b, nil
}
