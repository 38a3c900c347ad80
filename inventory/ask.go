package inventory

import (
	"fmt"
	"time"

	"staunch/fault"
	"staunch/phrase"
	"staunch/reach/fleet"
	"staunch/see/advisory"
	"staunch/see/verdict"
)

// State is what an advisory means for a whole host.
type State string

// The states of a host, worst first.
const (
	Affected State = "affected" // a process runs affected code (stale counts)
	Unknown  State = "unknown"  // nobody knows: quiet, never seen, not covered, or a process cannot be judged
	Dormant  State = "dormant"  // nothing affected runs, something affected can start
	Clean    State = "clean"    // everything seen, nothing affected
)

// Question is one advisory against the whole fleet.
type Question struct {
	Advisory  string // id, alias or name
	Component string // without an advisory: who holds this component at all
	Catalogue *advisory.Catalogue
	Fleet     *fleet.Fleet
	Now       time.Time
	Fresh     time.Duration // a report older than this says nothing any more; 0: 24 h
}

// Answer is what an advisory means for the fleet.
type Answer struct {
	Advisory  *advisory.Advisory `json:"advisory,omitempty"`
	Asked     time.Time          `json:"asked"`
	Catalogue time.Time          `json:"catalogue_date"`
	Known     int                `json:"hosts_known"` // in the fleet
	Seen      int                `json:"hosts_seen"`  // of those: a fresh report is here
	Hosts     []HostAnswer       `json:"hosts"`       // in the fleet's order
}

// HostAnswer is one host's part.
type HostAnswer struct {
	Host  string    `json:"host"`
	Ring  string    `json:"ring"`
	State State     `json:"state"`
	Why   string    `json:"why,omitempty"` // unknown: why
	Taken time.Time `json:"taken,omitzero"`
	// Processes by what they are; Facing counts those of Affected and Stale that strangers can reach or that talk to strangers.
	Affected int `json:"affected"`
	Stale    int `json:"stale"`
	Unknown  int `json:"unknown"`
	Dormant  int `json:"dormant"`
	Facing   int `json:"facing"`
	Holding  int `json:"holding"` // processes that hold the component, whatever their state
}

// Count returns how many hosts are in a state.
func (a *Answer) Count(s State) int {
	n := 0
	for i := range a.Hosts {
		if a.Hosts[i].State == s {
			n++
		}
	}
	return n
}

// Says is the coverage sentence: clean is a fraction with a date.
func (a *Answer) Says() string {
	return fmt.Sprintf("%d of %d known hosts seen; %d affected, %d unknown, %d dormant only, %d clean; catalogue of %s",
		a.Seen, a.Known, a.Count(Affected), a.Count(Unknown), a.Count(Dormant), a.Count(Clean), a.Catalogue.UTC().Format("2006-01-02"))
}

// rank orders what a process is to an advisory.
type rank uint8

const (
	nothing rank = iota
	cleared
	unknown
	stale
	affected
)

func rankOf(s verdict.State) rank {
	switch s {
	case verdict.Affected:
		return affected
	case verdict.Stale:
		return stale
	case verdict.Unknown:
		return unknown
	case verdict.Fixed, verdict.NotAffected:
		return cleared
	}
	return nothing
}

// Ask judges one advisory over everything that hosts told, from memory: each distinct object once, then every process by its list.
// An advisory that the catalogue does not hold is NotFound. A withdrawn one is answered, and says so.
//
// Without an advisory every process that holds Component is unknown: it is there, and nobody knows yet whether it is bad.
func (inv *Inventory) Ask(q Question) (*Answer, error) {
	adv, known := q.Catalogue.Find(q.Advisory)
	if !known && q.Advisory != "" {
		return nil, fault.New(fault.NotFound, "the catalogue of %s does not know %q", q.Catalogue.Date().UTC().Format("2006-01-02"), q.Advisory).
			Hinted("`staunch advisories update`, or `staunch heard` while there is no id yet")
	}
	if q.Fresh <= 0 {
		q.Fresh = 24 * time.Hour
	}
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	if q.Advisory == "" && q.Component == "" {
		return byHand(&q), nil
	}
	var ranks []rank
	if known {
		ranks = inv.judge(q.Catalogue, adv)
	} else {
		ranks = inv.holding(q.Component)
	}
	a := &Answer{Advisory: adv, Asked: q.Now, Catalogue: q.Catalogue.Date(), Known: len(q.Fleet.Hosts), Hosts: make([]HostAnswer, len(q.Fleet.Hosts))}
	outside := q.Fleet.Outside()
	for i := range q.Fleet.Hosts {
		where := &q.Fleet.Hosts[i]
		a.Hosts[i] = inv.answer(&q, where, ranks)
		if out, some := outside[where.Name]; some && a.Hosts[i].Affected+a.Hosts[i].Stale > 0 {
			a.Hosts[i].Facing = inv.facing(inv.hosts[where.Name], ranks, out)
		}
		if taken := a.Hosts[i].Taken; !taken.IsZero() && q.Now.Sub(taken) <= q.Fresh {
			a.Seen++
		}
	}
	return a, nil
}

// answer is one host's part of an answer.
func (inv *Inventory) answer(q *Question, where *fleet.Host, ranks []rank) HostAnswer {
	a := HostAnswer{Host: where.Name, Ring: where.Ring, State: Clean}
	h := inv.hosts[where.Name]
	if h == nil {
		a.State, a.Why = Unknown, inv.never(where)
		return a
	}
	a.Taken = h.head.Taken
	for _, t := range h.tallies {
		a.count(ranks[t.set], t)
	}
	for _, t := range h.dormant {
		if ranks[t.set] >= stale {
			a.Dormant += int(t.all)
		}
	}
	a.settle(inv, h, q)
	return a
}

// facing counts the affected processes that strangers reach, also those of which only the fleet's description says so.
func (inv *Inventory) facing(h *host, ranks []rank, out fleet.Outside) int {
	n := 0
	if len(out.Ports) == 0 {
		for _, t := range h.tallies {
			switch {
			case ranks[t.set] < stale:
			case out.Reaches(inv.words.All[t.unit]):
				n += int(t.all)
			default:
				n += int(t.facing)
			}
		}
		return n
	}
	for i := range h.processes {
		p := &h.processes[i]
		if ranks[p.set] < stale {
			continue
		}
		reached := p.exposure.Facing() || out.Reaches(inv.words.All[p.unit])
		if !reached && p.extra >= 0 {
			reached = out.Reaches("", ports(h.extras[p.extra].listens)...)
		}
		if reached {
			n++
		}
	}
	return n
}

func (a *HostAnswer) count(r rank, t tally) {
	if r == nothing {
		return
	}
	a.Holding += int(t.all)
	switch r {
	case affected:
		a.Affected += int(t.all)
	case stale:
		a.Stale += int(t.all)
	case unknown:
		a.Unknown += int(t.all)
	}
	if r >= stale {
		a.Facing += int(t.facing)
	}
}

// settle decides the host's state from its counts, its age and what it could not see.
func (a *HostAnswer) settle(inv *Inventory, h *host, q *Question) {
	age := q.Now.Sub(h.head.Taken)
	unseen := len(h.head.Unseen)
	switch {
	case a.Affected+a.Stale > 0:
		a.State = Affected
		if age > q.Fresh {
			a.Why = fmt.Sprintf("last seen %s ago", age.Round(time.Minute))
		}
	case age > q.Fresh:
		a.State, a.Why = Unknown, fmt.Sprintf("quiet: last seen %s ago", age.Round(time.Minute))
		if said := inv.unread[a.Host]; said != "" {
			a.Why += ", " + said
		}
	case a.Unknown > 0:
		a.State, a.Why = Unknown, phrase.Count(a.Unknown, "process cannot be judged", "processes cannot be judged")
	case unseen > 0:
		a.State, a.Why = Unknown, phrase.Count(unseen, "process could not be looked at", "processes could not be looked at")
	case a.Dormant > 0:
		a.State = Dormant
	}
}

func (inv *Inventory) never(where *fleet.Host) string {
	if why := where.NotCovered(); why != "" {
		return why
	}
	if why := inv.unread[where.Name]; why != "" {
		return why
	}
	return "never looked at"
}

// byHand is the answer where nothing tells what is affected: a person has to say it, host by host.
func byHand(q *Question) *Answer {
	a := &Answer{Asked: q.Now, Catalogue: q.Catalogue.Date(), Known: len(q.Fleet.Hosts)}
	for _, h := range q.Fleet.Hosts {
		a.Hosts = append(a.Hosts, HostAnswer{Host: h.Name, Ring: h.Ring, State: Unknown, Why: "opened by hand: no advisory or component tells what is affected"})
	}
	return a
}
