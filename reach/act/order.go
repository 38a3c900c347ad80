// Package act is the closed list of what staunch may change on a machine.
package act

import (
	"encoding/json"
	"fmt"
	"time"
)

// Kind names one act of the closed list. Kinds are part of signed plans: never rename one.
type Kind string

// The closed list.
const (
	Upgrade    Kind = "upgrade"     // packages, exact names and versions
	Restart    Kind = "restart"     // units
	Reload     Kind = "reload"      // units
	Stop       Kind = "stop"        // units
	Start      Kind = "start"       // units
	Mask       Kind = "mask"        // units
	Unmask     Kind = "unmask"      // units
	Hook       Kind = "hook"        // a host-side executable by name
	Place      Kind = "place"       // a file bundle
	Drain      Kind = "drain"       // a service, by its hook
	Undrain    Kind = "undrain"     // a service, by its hook
	Reboot     Kind = "reboot"      // the machine
	Signal     Kind = "signal"      // a process by pid and start time
	InstallLib Kind = "install_lib" // a library built elsewhere
	MakeKey    Kind = "make_key"    // a key and CSR, made on the host
	Unseal     Kind = "unseal"      // an age-encrypted bundle for this host
)

// Act is one change with its parameters: the part of an order that a plan's signatures cover.
type Act struct {
	Kind Kind            `json:"kind"`
	With json.RawMessage `json:"with"` // the parameters of that kind, strict JSON
}

// Order is one act for one host with its authority.
type Order struct {
	ID         string          `json:"id"` // OrderID: idempotence key, never reused for another act
	Host       string          `json:"host"`
	Step       string          `json:"step"`
	Act        Act             `json:"act"`
	Undo       bool            `json:"undo,omitempty"`    // do the act's Undo from the journal's record of order Of
	Confirm    bool            `json:"confirm,omitempty"` // keep what order Of did: it must not undo itself
	Of         string          `json:"of,omitempty"`
	DeadlineMS int64           `json:"deadline_ms"` // 0: the host's default for the act
	Mandate    json.RawMessage `json:"mandate,omitempty"`
}

// OrderID names one attempt at one step of a plan on one host. digest is mandate.Header.Digest, or a UUID for an order given by hand.
func OrderID(digest, step, host string, attempt int) string {
	return fmt.Sprintf("%s/%s/%s/%d", digest, step, host, attempt)
}

// Status is how an order ended.
type Status string

// How orders end. Unknown is never success and never failure: it is checked.
const (
	Done    Status = "done"    // carried out and verified
	Already Status = "already" // nothing to do: Check found the wanted state
	Refused Status = "refused" // policy, mandate or precondition; nothing was changed
	Failed  Status = "failed"  // tried; Verify says no
	Undone  Status = "undone"
	Unknown Status = "unknown" // begun, outcome not seen
)

// Outcome is what a host answers to an order; it answers the same again for a repeated order id.
type Outcome struct {
	Order   string          `json:"order"`
	Status  Status          `json:"status"`
	Says    string          `json:"says"` // one sentence
	Before  json.RawMessage `json:"before,omitempty"`
	After   json.RawMessage `json:"after,omitempty"`
	CanUndo bool            `json:"can_undo"`
	Log     []string        `json:"log,omitempty"` // last lines of the unit's journal or the tool's output, cleaned for terminals
	Began   time.Time       `json:"began"`
	Ended   time.Time       `json:"ended"`
	Repeat  bool            `json:"repeat,omitempty"` // answered from the journal
}

// Preview is what a person reads before agreeing.
type Preview struct {
	Says    []string        `json:"says"`    // what will happen, a sentence each
	Warns   []string        `json:"warns"`   // what may hurt
	Undo    string          `json:"undo"`    // how it is undone, or "cannot be undone: ..."
	Already bool            `json:"already"` // nothing to do
	Refused string          `json:"refused,omitempty"`
	Finds   json.RawMessage `json:"finds,omitempty"` // current state, as Before will record it
}
