// Package plan is the graph of everything that will be done: steps with conditions before and proof after, a digest to sign, and the rules it must keep.
package plan

import (
	"time"
)

// Schema is the version of a plan's JSON. Fields are only added.
const Schema = 1

// Plan is what people vote on and what a run carries out; execution chooses nothing. Change one byte and its votes are void.
type Plan struct {
	Schema     int       `json:"schema"`
	ID         string    `json:"id"`                    // incident and number: "7.1"
	Incident   string    `json:"incident"`              // "7"
	Parent     string    `json:"parent,omitempty"`      // id of the plan that this one replaces
	ParentHash string    `json:"parent_hash,omitempty"` // digest of that plan
	Title      string    `json:"title"`
	Advisories []string  `json:"advisories,omitempty"` // what "clean" means in this plan
	Made       time.Time `json:"made"`
	MadeBy     string    `json:"made_by,omitempty"`
	Expires    time.Time `json:"expires"`             // no step may begin after it
	NotBefore  time.Time `json:"not_before,omitzero"` // nothing begins before it, and hosts hold orders to it
	DelayMS    int64     `json:"delay_ms,omitempty"`  // nothing begins so soon after the vote of one person alone: others may object meanwhile
	Pace       Pace      `json:"pace"`
	Rings      []Ring    `json:"rings"` // in the order of the rollout
	Services   []Service `json:"services,omitempty"`
	Keys       []Key     `json:"keys,omitempty"`
	Steps      []Step    `json:"steps"`
	Unseen     []Unseen  `json:"unseen,omitempty"` // what this plan does not reach, with the reason
	Watches    []Watch   `json:"watches,omitempty"`
	// Waivers are signed with the plan: places where people accept to stay vulnerable for a while.
	Waivers []Waiver `json:"waivers,omitempty"`
}

// Ring is one stage of the rollout with its limits.
type Ring struct {
	Name   string `json:"name"`
	Width  int    `json:"width"`  // hosts being changed at the same time, at least 1
	Quorum int    `json:"quorum"` // votes for steps in this ring that are not merely making things safer, at least 1
}

// Service is a limit that holds over all steps: how many hosts of it may be down at once.
type Service struct {
	Name    string   `json:"name"`
	Units   []string `json:"units,omitempty"`
	MaxDown int      `json:"max_down"` // hosts, at least 1
	Hosts   int      `json:"hosts"`    // how many hosts run it
	Public  bool     `json:"public,omitempty"`
}

// Key is one key pair by its SubjectPublicKeyInfo, with every endpoint that was known to serve it when the plan was made.
type Key struct {
	SPKI      string   `json:"spki_sha256"` // lower-case hex
	Endpoints []string `json:"endpoints"`   // "name@address:port"; empty means that nobody looked
	Hosts     []string `json:"hosts,omitempty"`
}

// Unseen is a host that the plan leaves alone because nothing is known about it: silence is never safety.
type Unseen struct {
	Host string `json:"host"`
	Why  string `json:"why"`
}

// Watch is something to come back to: a unit switched off until its vendor ships a fix.
type Watch struct {
	What    string    `json:"what"`
	Host    string    `json:"host,omitempty"`
	Contact string    `json:"contact,omitempty"` // whom to ask
	Since   time.Time `json:"since"`
	Due     time.Time `json:"due"` // when somebody must look again
}

// Waiver is a person's word that a host may stay, or become, vulnerable until a time. It only counts inside a plan that got its votes.
type Waiver struct {
	Host     string    `json:"host"`
	Advisory string    `json:"advisory"`
	Step     string    `json:"step,omitempty"` // the step whose undo it allows; empty: any step of that host
	Until    time.Time `json:"until"`
	Reason   string    `json:"reason"`
	By       string    `json:"by"`
}

// RingOf gives a ring's limits and its place in the order, or -1.
func (p *Plan) RingOf(name string) (Ring, int) {
	for i, r := range p.Rings {
		if r.Name == name {
			return r, i
		}
	}
	return Ring{}, -1
}

// Step gives the step with this id, or nil.
func (p *Plan) Step(id string) *Step {
	for i := range p.Steps {
		if p.Steps[i].ID == id {
			return &p.Steps[i]
		}
	}
	return nil
}

// Service gives a service's limits, or nil.
func (p *Plan) Service(name string) *Service {
	for i := range p.Services {
		if p.Services[i].Name == name {
			return &p.Services[i]
		}
	}
	return nil
}

// Hosts lists every host that a step targets, each once, in order of first appearance.
func (p *Plan) Hosts() []string {
	seen := map[string]bool{}
	var hosts []string
	for _, s := range p.Steps {
		for _, t := range s.Targets {
			if t.Host != "" && !seen[t.Host] {
				seen[t.Host] = true
				hosts = append(hosts, t.Host)
			}
		}
	}
	return hosts
}
