package plan

import (
	"encoding/json"
	"time"

	"staunch/reach/act"
)

// Kind says who carries a step out, and how. Kinds are part of signed plans: never rename one.
type Kind string

// The closed list of step kinds.
const (
	Act              Kind = "act"               // one act of the closed list, on each target's host
	Gate             Kind = "gate"              // changes nothing: its proofs must hold, and hold again after the soak time
	Person           Kind = "person"            // a person does it and says so
	Build            Kind = "build"             // a library from pinned source, on one build host
	MakeKey          Kind = "make_key"          // a new key and its CSR, on a host
	OrderCertificate Kind = "order_certificate" // a certificate for a CSR, from a CA
	Deploy           Kind = "deploy"            // a key and certificate onto a host, a CDN or a load balancer
	Activate         Kind = "activate"          // what was staged there is switched on
	Revoke           Kind = "revoke"            // every certificate of one key
	Retire           Kind = "retire"            // an old certificate is taken away where it was switched off
	InvalidateTokens Kind = "invalidate_tokens" // sessions, tokens, cookies or passwords of one service
)

// Kinds returns the closed list.
func Kinds() []Kind {
	return []Kind{Act, Gate, Person, Build, MakeKey, OrderCertificate, Deploy, Activate, Revoke, Retire, InvalidateTokens}
}

// Step is one thing to do on all of its targets, each target on its own. A target of a step begins when the step's ancestors are settled and its needs hold there.
type Step struct {
	ID      string   `json:"id"`
	Kind    Kind     `json:"kind"`
	Says    string   `json:"says"` // one sentence for a person
	Ring    string   `json:"ring,omitempty"`
	Targets []Target `json:"targets"`         // never empty; a gate or person step has at least the target "all"
	After   []string `json:"after,omitempty"` // steps that must be settled on all of their targets
	Each    []string `json:"each,omitempty"`  // steps that must be settled on the same host

	Act  *act.Act        `json:"act,omitempty"`  // for steps that a host carries out
	With json.RawMessage `json:"with,omitempty"` // parameters of steps that no host carries out

	Needs  []Predicate `json:"needs,omitempty"` // observed to hold right before each target begins
	Proves []Predicate `json:"proves"`          // observed to hold after; never empty
	Undo   Undo        `json:"undo"`
	Harm   Harm        `json:"harm"`

	// Turn groups steps that a host goes through in one go (drain, restart, undrain): it counts as down from the first until all are proven.
	Turn string `json:"turn,omitempty"`

	Votes      int   `json:"votes"`             // signatures needed, at least 1
	Safer      bool  `json:"safer"`             // only makes things safer: stop, drain, restart onto fixed code; one person suffices
	Repeat     bool  `json:"repeat"`            // doing it twice does no more than doing it once
	Tries      int   `json:"tries"`             // attempts in all when Repeat, at least 1
	DeadlineMS int64 `json:"deadline_ms"`       // for one attempt on one target, its proofs included
	SoakMS     int64 `json:"soak_ms,omitempty"` // gates only: how long the proofs must hold
	Public     bool  `json:"public,omitempty"`  // touches what strangers can reach
	Task       *Task `json:"task,omitempty"`    // person steps
}

// Target is what one part of a step works on. Host is empty where no single machine is meant.
type Target struct {
	Host     string `json:"host,omitempty"`
	Unit     string `json:"unit,omitempty"`
	Service  string `json:"service,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
	SPKI     string `json:"spki_sha256,omitempty"`
	Image    string `json:"image,omitempty"`
}

// Key names a target within its step.
func (t Target) Key() string {
	key := t.Host
	for _, part := range []string{t.Unit, t.Service, t.Endpoint, t.SPKI, t.Image} {
		if part == "" {
			continue
		}
		if key != "" {
			key += "/"
		}
		key += part
	}
	if key == "" {
		return "all"
	}
	return key
}

// Task is a step for a person.
type Task struct {
	Owner string    `json:"owner"` // who does it, a name or a role with a person behind it
	Asks  string    `json:"asks"`  // what to do and what counts as done
	Due   time.Time `json:"due"`
	// Contact is whom the owner has to talk to, where that is somebody else.
	Contact string `json:"contact,omitempty"`
	// Deputy is told, beside the owner, once it is overdue: the owner may be asleep.
	Deputy string `json:"deputy,omitempty"`
}

// UndoKind says what happens to a target when its step failed.
type UndoKind string

// Ways back. None of them brings back an affected version by itself.
const (
	Hold     UndoKind = "hold"    // leave it as it is and wait for a person
	RunAct   UndoKind = "act"     // carry out Undo.Act
	Reverse  UndoKind = "reverse" // the host undoes the order from its journal
	ByPerson UndoKind = "person"  // a person has to
	NoUndo   UndoKind = "none"    // cannot be undone: Says tells why
)

// Undo is the way back of a step, decided before anything begins.
type Undo struct {
	Kind UndoKind `json:"kind"`
	Says string   `json:"says"`
	Act  *act.Act `json:"act,omitempty"`
	// Restores lists what Reverse or Act would bring back; the lint compares it with what is affected.
	Restores []Version `json:"restores,omitempty"`
	// Auto undoes a failed target without asking; only ever towards the safe side.
	Auto bool `json:"auto,omitempty"`
}

// Version is a package, library or file content at a version.
type Version struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Harm is what a step costs while it runs.
type Harm struct {
	Says string   `json:"says,omitempty"`
	Down []string `json:"down,omitempty"` // services that are down on the target's host during its turn
}

// Changes reports whether the step changes a machine or the outside world.
func (s *Step) Changes() bool { return s.Kind != Gate && s.Kind != Person }

// TurnName is the turn that the step belongs to; a step without one is a turn of its own.
func (s *Step) TurnName() string {
	if s.Turn != "" {
		return s.Turn
	}
	return "step " + s.ID
}

// Deadline is how long one attempt on one target may take.
func (s *Step) Deadline() time.Duration { return time.Duration(s.DeadlineMS) * time.Millisecond }

// Soak is how long a gate's proofs must hold.
func (s *Step) Soak() time.Duration { return time.Duration(s.SoakMS) * time.Millisecond }

// On returns the step's predicate as it reads for one target: what the predicate leaves open is the target's own.
func (p Predicate) On(t Target) Predicate {
	if p.Host == "" && p.Kind.perHost() {
		p.Host = t.Host
	}
	if p.Unit == "" && p.Kind.perUnit() {
		p.Unit = t.Unit
	}
	if p.Endpoint == "" && p.Kind.perEndpoint() {
		p.Endpoint = t.Endpoint
	}
	return p
}
