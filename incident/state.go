package incident

import (
	"slices"
	"time"

	"staunch/fault"
	"staunch/incident/blast"
	"staunch/inventory"
)

// Incident is the fold of its events.
type Incident struct {
	Opened     Opened
	OpenedAt   time.Time
	OpenedBy   string
	Advisory   *Advisory
	Amended    int // times that the advisory changed since the opening
	Impact     Impact
	Blast      *blast.Radius
	Looks      int
	LookedAt   time.Time
	Catalogue  time.Time
	Known      int
	Seen       int
	Hosts      map[string]*HostState
	First      map[string]HostState // as each host was when it was first seen affected
	CleanSince map[string]time.Time // hosts that were affected and are not any more
	Renamed    map[string]string    // old name to new
	Plans      []Plan
	Words      []Word
	Checklist  []Entry
	Comments   []Comment
	Searches   []Search
	Milestones []Reached
	Lessons    []Lesson
	Closed     bool
	ClosedAt   time.Time
	LastAt     time.Time
	Events     int
	reminded   map[string]time.Time
	told       map[string]time.Time // notices by key
	untold     map[string]time.Time // that could not be sent
}

// Plan is a plan of the incident with its votes.
type Plan struct {
	Planned
	At    time.Time
	By    string
	Void  bool // replaced by a later plan
	Votes []Vote
}

// Comment is what somebody wrote.
type Comment struct {
	At   time.Time
	By   string
	Says string
}

// Reached is a milestone with its time.
type Reached struct {
	At        time.Time
	Milestone Milestone
	Says      string
}

// Fold adds one event to a state; the zero state is nil. It never fails on an event of an unknown kind: a newer staunch wrote it.
func Fold(s *Incident, e Event) (*Incident, error) {
	if s == nil {
		if e.Kind != WasOpened || e.Opened == nil {
			return nil, fault.New(fault.Corrupt, "the first event of an incident is %q, not its opening", e.Kind)
		}
		s = &Incident{
			Opened: *e.Opened, OpenedAt: e.At, OpenedBy: e.By, Hosts: map[string]*HostState{}, First: map[string]HostState{},
			CleanSince: map[string]time.Time{}, Renamed: map[string]string{}, reminded: map[string]time.Time{}, told: map[string]time.Time{}, untold: map[string]time.Time{},
		}
	}
	s.Events++
	if e.At.After(s.LastAt) {
		s.LastAt = e.At
	}
	if !e.whole() {
		return nil, fault.New(fault.Corrupt, "event %s of incident %s lacks what it is about", e.Kind, s.Opened.ID)
	}
	s.fold(&e)
	return s, nil
}

// whole tells whether the part that belongs to the kind is there.
func (e *Event) whole() bool {
	switch e.Kind {
	case WasLooked:
		return e.Looked != nil
	case WasJudged:
		return e.Impact != nil
	case WasAmended:
		return e.Advisory != nil
	case WasTraced:
		return e.Blast != nil
	case WasPlanned:
		return e.Planned != nil
	case WasVoted:
		return e.Vote != nil
	case WasSaid:
		return e.Word != nil
	case WasEntered, WasReminded:
		return e.Entry != nil
	case WasSearched:
		return e.Search != nil
	case WasNoted:
		return e.Lesson != nil
	case WasRenamed:
		return e.Renamed != nil
	case WasTold:
		return e.Notice != nil
	}
	return true
}

func (s *Incident) fold(e *Event) {
	switch e.Kind {
	case WasLooked:
		foldLooked(s, e)
	case WasJudged:
		s.Impact = *e.Impact
	case WasAmended:
		foldAdvisory(s, e)
	case WasTraced:
		whole := e.Blast.With(s.Blast)
		s.Blast = &whole
	case WasPlanned:
		foldPlanned(s, e)
	case WasVoted:
		foldVoted(s, e)
	case WasSaid:
		s.Words = append(s.Words, *e.Word)
	case WasEntered:
		foldEntry(s, e)
	case WasReminded:
		s.reminded[e.Entry.ID] = e.At
	case WasCommented:
		s.Comments = append(s.Comments, Comment{e.At, e.By, e.Says})
	case WasSearched:
		s.Searches = append(s.Searches, *e.Search)
	case WasReached:
		s.Milestones = append(s.Milestones, Reached{e.At, e.Milestone, e.Says})
	case WasNoted:
		s.Lessons = append(s.Lessons, *e.Lesson)
	case WasRenamed:
		foldRenamed(s, e)
	case WasTold:
		foldTold(s, e)
	case WasClosed:
		s.Closed, s.ClosedAt = true, e.At
	case WasReopened:
		s.Closed, s.ClosedAt = false, time.Time{}
	}
}

func foldLooked(s *Incident, e *Event) {
	l := e.Looked
	s.Known, s.Seen, s.Catalogue, s.LookedAt = l.Known, l.Seen, l.Catalogue, e.At
	if !l.More {
		s.Looks++
	}
	for i := range l.Hosts {
		h := &l.Hosts[i]
		s.Hosts[h.Host] = h
		_, was := s.First[h.Host]
		switch {
		case h.State == inventory.Affected:
			if !was {
				s.First[h.Host] = *h
			}
			delete(s.CleanSince, h.Host)
		case was && (h.State == inventory.Clean || h.State == inventory.Dormant):
			if _, since := s.CleanSince[h.Host]; !since {
				s.CleanSince[h.Host] = e.At
			}
		}
	}
	for _, name := range l.Gone {
		delete(s.Hosts, name)
	}
}

func foldAdvisory(s *Incident, e *Event) {
	if s.Advisory != nil {
		s.Amended++
	}
	s.Advisory = e.Advisory
}

func foldPlanned(s *Incident, e *Event) {
	for i := range s.Plans {
		if s.Plans[i].Plan == e.Planned.Parent {
			s.Plans[i].Void = true
		}
	}
	s.Plans = append(s.Plans, Plan{Planned: *e.Planned, At: e.At, By: e.By})
}

func foldVoted(s *Incident, e *Event) {
	if p := s.Plan(e.Vote.Plan); p != nil {
		v := *e.Vote
		v.At = e.At
		p.Votes = append(p.Votes, v)
	}
}

func foldEntry(s *Incident, e *Event) {
	if at := slices.IndexFunc(s.Checklist, func(x Entry) bool { return x.ID == e.Entry.ID }); at >= 0 {
		s.Checklist[at] = *e.Entry
		return
	}
	s.Checklist = append(s.Checklist, *e.Entry)
}

func foldRenamed(s *Incident, e *Event) {
	from, to := e.Renamed[0], e.Renamed[1]
	s.Renamed[from] = to
	if h := s.Hosts[from]; h != nil {
		moved := *h
		moved.Host = to
		s.Hosts[to] = &moved
		delete(s.Hosts, from)
	}
	if first, ok := s.First[from]; ok {
		first.Host = to
		s.First[to] = first
		delete(s.First, from)
	}
	if at, ok := s.CleanSince[from]; ok {
		s.CleanSince[to] = at
		delete(s.CleanSince, from)
	}
}

// Plan gives a plan of the incident, or nil.
func (s *Incident) Plan(id string) *Plan {
	for i := range s.Plans {
		if s.Plans[i].Plan == id {
			return &s.Plans[i]
		}
	}
	return nil
}

// Current is the newest plan that was not replaced, or nil.
func (s *Incident) Current() *Plan {
	for i := len(s.Plans) - 1; i >= 0; i-- {
		if !s.Plans[i].Void {
			return &s.Plans[i]
		}
	}
	return nil
}

// In lists the hosts in one state, sorted by name.
func (s *Incident) In(state inventory.State) []*HostState {
	var list []*HostState
	for _, h := range s.Hosts {
		if h.State == state {
			list = append(list, h)
		}
	}
	slices.SortFunc(list, func(a, b *HostState) int { return cmpText(a.Host, b.Host) })
	return list
}

// Facing counts affected processes that strangers can reach or that talk to strangers.
func (s *Incident) Facing() int {
	n := 0
	for _, h := range s.Hosts {
		n += h.Facing
	}
	return n
}

func cmpText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
