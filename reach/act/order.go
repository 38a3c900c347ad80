// Package act is the closed list of what staunch may change on a machine.
package act

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"staunch/fault"
	"staunch/mandate"
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
	RevokeOwn  Kind = "revoke_own"  // has a CA revoke certificates of a key that lies here, signed by that key
	BarKey     Kind = "bar_key"     // this host puts a key nowhere any more
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
	// Offers are the versions that the host's package sources have now, of the packages that an upgrade names; empty where nobody can say.
	Offers []Package `json:"offers,omitempty"`
}

// Validate says what is wrong with an order on its face.
func (o Order) Validate() error {
	if o.ID == "" || len(o.ID) > 1024 || strings.ContainsFunc(o.ID, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return usage("order id %.80q", o.ID)
	}
	if o.Undo && o.Confirm || (o.Undo || o.Confirm) != (o.Of != "") || o.Of == o.ID {
		return usage("an order either does an act, or undoes or confirms another order")
	}
	if o.DeadlineMS < 0 || o.DeadlineMS > time.Hour.Milliseconds() {
		return usage("deadline_ms: between 0 and 3,600,000")
	}
	if len(o.Mandate) > mandate.MaxMandate {
		return fault.New(fault.Full, "mandate of %d bytes", len(o.Mandate))
	}
	return nil
}

// Hash names the order without its mandate.
func (o Order) Hash() (string, error) {
	o.Mandate = nil
	b, err := mandate.Canonical(o)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// Deadline bounds the act itself; looking before and proving after have their own time.
func (o Order) Deadline() time.Duration {
	switch {
	case o.DeadlineMS > 0:
		return time.Duration(o.DeadlineMS) * time.Millisecond
	case o.Act.Kind == Upgrade:
		return 15 * time.Minute
	}
	return 2 * time.Minute
}
