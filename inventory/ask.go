package inventory

import (
	"fmt"
	"time"

	"staunch/fault"
	"staunch/reach/fleet"
	"staunch/see/advisory"
	"staunch/see/scan"
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
	Catalogue *advisory.Catalogue
	Fleet     *fleet.Fleet
	Now       time.Time
	Fresh     time.Duration // a report older than this says nothing any more; 0: 24 h
}

// Answer is what an advisory means for the fleet.
type Answer struct {
	Advisory  *advisory.Advisory `json:"advisory"`
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
func (inv *Inventory) Ask(q Question) (*Answer, error) {
	adv, known := q.Catalogue.Find(q.Advisory)
	if !known {
		return nil, fault.New(fault.NotFound, "the catalogue of %s does not know %q", q.Catalogue.Date().UTC().Format("2006-01-02"), q.Advisory).
			Hinted("`staunch advisories update`, or `staunch heard` while there is no id yet")
	}
	if q.Fresh <= 0 {
		q.Fresh = 24 * time.Hour
	}
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	m := inv.judge(q.Catalogue, adv.ID)
	a := &Answer{Advisory: adv, Asked: q.Now, Catalogue: q.Catalogue.Date(), Known: len(q.Fleet.Hosts), Hosts: make([]HostAnswer, len(q.Fleet.Hosts))}
	for i := range q.Fleet.Hosts {
		a.Hosts[i] = inv.answer(&q, &q.Fleet.Hosts[i], m)
		if taken := a.Hosts[i].Taken; !taken.IsZero() && q.Now.Sub(taken) <= q.Fresh {
			a.Seen++
		}
	}
	return a, nil
}

// marks is an advisory's verdict on each list of objects, each list of modules, and each dormant thing.
type marks struct {
	lists   []rank
	modules []rank
	dormant map[string]bool
}

// judge asks the judge about every distinct object and module once, machine class by machine class.
func (inv *Inventory) judge(catalogue *advisory.Catalogue, id string) *marks {
	ranks := make([]rank, len(inv.variants.all))
	moduleRanks := make([]rank, len(inv.modules))
	m := &marks{dormant: map[string]bool{}}
	for c := range inv.classes.all {
		r, of := inv.bench(int32(c))
		for _, f := range verdict.Judge(r, catalogue, verdict.Options{Advisory: id}).Findings {
			for _, pid := range append(f.PIDs, f.PID) {
				switch {
				case pid <= 0:
				case of[pid-1] >= 0:
					ranks[of[pid-1]] = max(ranks[of[pid-1]], rankOf(f.State))
				default:
					moduleRanks[^of[pid-1]] = max(moduleRanks[^of[pid-1]], rankOf(f.State))
				}
			}
		}
	}
	m.lists, m.modules = worst(inv.lists.all, ranks), worst(inv.lists.all, moduleRanks)
	return m
}

// worst is the highest rank in each list.
func worst(lists [][]int32, ranks []rank) []rank {
	out := make([]rank, len(lists))
	for i, list := range lists {
		for _, n := range list {
			if int(n) < len(ranks) { // object and module lists share their numbers, so a number may be too large for the shorter table
				out[i] = max(out[i], ranks[n])
			}
		}
	}
	return out
}

// bench makes a report in which each process holds one object (or module) of a machine class; of maps pid-1 to the variant, or to ^module.
func (inv *Inventory) bench(c int32) (*scan.Report, []int32) {
	k := inv.classes.all[c]
	r := &scan.Report{Schema: scan.Schema, Machine: scan.Machine{Arch: k.Arch, Distro: k.Distro, Release: k.Release}}
	var of []int32
	put := func(n int32, p scan.Process) {
		of = append(of, n)
		p.PID = len(of)
		r.Processes = append(r.Processes, p)
	}
	used := make([]bool, len(inv.contents))
	for i, v := range inv.variants.all {
		if v.machine != c {
			continue
		}
		if v.object >= 0 && !used[v.object] {
			used[v.object] = true
			r.Objects = append(r.Objects, inv.contents[v.object])
		}
		put(int32(i), scan.Process{Objects: []scan.Mapped{inv.mapped(int32(i))}})
	}
	for i, m := range inv.modules {
		if inv.machines[i] == c {
			put(^int32(i), scan.Process{Modules: []scan.Module{m}})
		}
	}
	return r, of
}

// answer is one host's part of an answer.
func (inv *Inventory) answer(q *Question, where *fleet.Host, m *marks) HostAnswer {
	a := HostAnswer{Host: where.Name, Ring: where.Ring, State: Clean}
	h := inv.hosts[where.Name]
	if h == nil {
		a.State, a.Why = Unknown, inv.never(where)
		return a
	}
	a.Taken = h.head.Taken
	for i := range h.processes {
		p := &h.processes[i]
		a.count(max(m.lists[p.list], m.modules[p.modules]), p.exposure)
	}
	a.settle(inv, h, q)
	return a
}

func (a *HostAnswer) count(r rank, e Exposure) {
	if r == nothing {
		return
	}
	a.Holding++
	switch r {
	case affected:
		a.Affected++
	case stale:
		a.Stale++
	case unknown:
		a.Unknown++
	}
	if r >= stale && e.Facing() {
		a.Facing++
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
		a.State, a.Why = Unknown, fmt.Sprintf("%d processes cannot be judged", a.Unknown)
	case unseen > 0:
		a.State, a.Why = Unknown, fmt.Sprintf("%d processes could not be looked at", unseen)
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
