package verdict

import (
	"cmp"
	"slices"
	"strings"

	"staunch/see/advisory"
)

// place is where something stands in the order in which a tired person should read: bad first, exposed and known-exploited first.
type place struct {
	rank uint64  // what decides first
	epss float64 // then the chance of being exploited
	at   int
}

// ordinal is what decides between findings of one rank and one chance of being exploited.
type ordinal struct {
	candidates                   int
	object, unit, advisory, path string
	pid                          int
}

// Sort puts findings in the order in which a tired person should read them: bad first, exposed and known-exploited first.
func Sort(list []Finding) {
	order := make([]place, len(list)) // findings are large: small things are sorted, each finding is moved only once
	for i := range list {
		order[i] = place{list[i].rank(), list[i].EPSS, i}
	}
	inOrder(order, func(at int) ordinal { return list[at].ordinal() })
	sorted := make([]Finding, len(list))
	for to, from := range order {
		sorted[to] = list[from.at]
	}
	copy(list, sorted)
}

func inOrder(list []place, ordinalOf func(at int) ordinal) {
	slices.SortFunc(list, func(a, b place) int {
		if a.rank != b.rank {
			return cmp.Compare(b.rank, a.rank)
		}
		if a.epss != b.epss {
			return cmp.Compare(b.epss, a.epss)
		}
		if c := compare(ordinalOf(a.at), ordinalOf(b.at)); c != 0 {
			return c
		}
		return a.at - b.at
	})
}

// rank packs what decides first into one number, the most urgent highest.
func rank(state State, e Exposure, exploited bool, severity advisory.Severity) uint64 {
	return uint64(state.badness())<<24 | uint64(e.rank())<<16 | uint64(truth(exploited))<<8 | uint64(severity.Rank())
}

func (f *Finding) rank() uint64 { return rank(f.State, f.Exposure, f.KnownExploited, f.Severity) }

func (f *Finding) ordinal() ordinal {
	return ordinal{f.Candidates, f.Object, f.Unit, f.Advisory, f.Path, f.PID}
}

func (p *pending) rank() uint64 {
	a := p.verdict.advisory
	return rank(p.verdict.state, p.exposure, a.KnownExploited, a.Severity)
}

func (p *pending) ordinal() ordinal {
	o := ordinal{unit: p.process.Unit, advisory: p.verdict.advisory.ID, path: p.subject.path, pid: p.process.PID}
	if p.subject.object != nil {
		o.object = p.subject.object.ID
	}
	return o
}

func compare(a, b ordinal) int {
	if a.candidates != b.candidates {
		return b.candidates - a.candidates
	}
	if c := truth(a.object == "") - truth(b.object == ""); c != 0 {
		return c
	}
	if c := strings.Compare(a.unit, b.unit); c != 0 {
		return c
	}
	if a.pid != b.pid {
		return a.pid - b.pid
	}
	if c := strings.Compare(a.advisory, b.advisory); c != 0 {
		return c
	}
	return strings.Compare(a.path, b.path)
}

// written writes down what is pending, with the rest, each in its place at once.
func (j *judge) written(rest []Finding) []Finding {
	n := len(j.pending)
	order := make([]place, 0, n+len(rest))
	for i := range j.pending {
		order = append(order, place{j.pending[i].rank(), j.pending[i].verdict.advisory.EPSS, i})
	}
	for i := range rest {
		order = append(order, place{rest[i].rank(), rest[i].EPSS, n + i})
	}
	inOrder(order, func(at int) ordinal {
		if at < n {
			return j.pending[at].ordinal()
		}
		return rest[at-n].ordinal()
	})
	out := make([]Finding, len(order))
	for to, from := range order {
		if from.at < n {
			j.write(&j.pending[from.at], &out[to])
		} else {
			out[to] = rest[from.at-n]
		}
	}
	return out
}
