package incident

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"staunch/inventory"
	"staunch/phrase"
	"staunch/tame"
)

// Progress is how a plan's run stands, as far as a brief needs it.
type Progress struct {
	Plan    string   `json:"plan"`
	State   string   `json:"state"` // not_begun, working, waiting, done, aborted
	Settled int      `json:"settled"`
	Total   int      `json:"total"` // step x target
	Running []string `json:"running,omitempty"`
	Failed  []string `json:"failed,omitempty"`
	Left    []string `json:"left,omitempty"`  // hosts left behind, silent
	Waits   []string `json:"waits,omitempty"` // for whom or what
	Next    []string `json:"next,omitempty"`
	Missing []string `json:"missing,omitempty"` // votes: "production: 1 more of 2"
	Watches []string `json:"watches,omitempty"` // what the plan left for later: whom to ask, when to look again
	Waived  []string `json:"waived,omitempty"`  // hosts that people signed may stay vulnerable
}

// Brief is the hand-over to the next person.
type Brief struct {
	Incident string   `json:"incident"`
	Title    string   `json:"title"`
	At       string   `json:"at"`
	Opened   string   `json:"opened"`
	Closed   string   `json:"closed,omitempty"`
	Can      []string `json:"can"` // what the bug can do and what must follow
	Done     []string `json:"done"`
	Running  []string `json:"running"`
	Unknown  []string `json:"unknown"`
	Next     []string `json:"next"`
	Holds    []string `json:"holds"` // who holds what
	Words    []string `json:"words"` // the last comments
}

// Brief tells the next person where things stand at a time.
func (s *Incident) Brief(now time.Time, runs []Progress) Brief {
	b := Brief{
		Incident: s.Opened.ID, Title: s.Opened.Title, At: stamp(now), Opened: stamp(s.OpenedAt) + " by " + cmp.Or(s.OpenedBy, "nobody named"),
		Can: []string{s.Impact.Harm.Says(), "must follow: " + s.Impact.Follows.Says()}, Done: []string{}, Running: []string{}, Unknown: []string{}, Next: []string{}, Holds: []string{}, Words: []string{},
	}
	if s.Blast != nil {
		b.Can = append(b.Can, "could have leaked: "+s.Blast.Says())
	}
	if s.Closed {
		b.Closed = stamp(s.ClosedAt)
	}
	s.briefHosts(&b, now)
	for _, r := range runs {
		b.run(r)
	}
	s.briefPeople(&b, now)
	if s.Current() == nil && len(s.In(inventory.Affected)) > 0 {
		b.Next = append(b.Next, "there is no plan yet: staunch plan make "+s.Opened.ID)
	}
	for _, c := range s.Comments[max(0, len(s.Comments)-lastWords):] {
		b.Words = append(b.Words, stamp(c.At)+" "+cmp.Or(c.By, "somebody")+": "+c.Says)
	}
	return b
}

// lastWords is how many comments a brief repeats.
const lastWords = 5

func (s *Incident) briefHosts(b *Brief, now time.Time) {
	for _, m := range s.Milestones {
		b.Done = append(b.Done, stamp(m.At)+" "+m.Says)
	}
	if n := len(s.CleanSince); n > 0 {
		var hosts []string
		for h := range s.CleanSince {
			hosts = append(hosts, h)
		}
		slices.Sort(hosts)
		b.Done = append(b.Done, fmt.Sprintf("%s affected before and clean now: %s", phrase.Count(n, "host was", "hosts were"), strings.Join(phrase.Some(hosts, 12), ", ")))
	}
	if s.Looks == 0 {
		b.Unknown = append(b.Unknown, "nobody has looked at the fleet yet")
	} else {
		b.Unknown = append(b.Unknown, fmt.Sprintf("%d of %d known hosts were seen; last look %s ago", s.Seen, s.Known, now.Sub(s.LookedAt).Round(time.Minute)))
	}
	for _, h := range s.In(inventory.Unknown) {
		b.Unknown = append(b.Unknown, told(h.Host, h.Why))
	}
	if hosts := s.In(inventory.Affected); len(hosts) > 0 {
		b.Next = append(b.Next, fmt.Sprintf("%s still affected: %s (%d of the processes face strangers)", phrase.Count(len(hosts), "host is", "hosts are"), strings.Join(phrase.Some(names(hosts), 12), ", "), s.Facing()))
	}
	if s.Blast == nil {
		return
	}
	for _, u := range s.Blast.Unseen {
		if host, _, _ := strings.Cut(u, ":"); s.Hosts[host] == nil || s.Hosts[host].State != inventory.Unknown { // those stand there already
			b.Unknown = append(b.Unknown, "keys and secrets: "+u)
		}
	}
}

// told is what a host's line says; the reason often begins with the host's name already.
func told(host, why string) string {
	if strings.HasPrefix(why, host+":") || strings.HasPrefix(why, host+" ") {
		return why
	}
	return host + ": " + why
}

func (b *Brief) run(r Progress) {
	says := map[string]string{"not_begun": "has not begun", "working": "is under way", "waiting": "waits", "paused": "is PAUSED: nothing new begins", "done": "is done", "aborted": "was aborted"}
	b.Running = append(b.Running, fmt.Sprintf("plan %s %s: %d of %d step-and-host pairs settled", r.Plan, cmp.Or(says[r.State], r.State), r.Settled, r.Total))
	b.Running = append(b.Running, r.Running...)
	for _, f := range r.Failed {
		b.Next = append(b.Next, "FAILED: "+f)
	}
	for _, l := range r.Left {
		b.Unknown = append(b.Unknown, "left behind: "+l)
	}
	b.Holds = append(b.Holds, r.Watches...)
	b.Unknown = append(b.Unknown, r.Waived...)
	for _, w := range slices.Concat(r.Missing, r.Waits, r.Next) {
		b.Next = append(b.Next, "plan "+r.Plan+": "+w)
	}
}

func (s *Incident) briefPeople(b *Brief, now time.Time) {
	for _, e := range s.byDue() {
		switch e.State {
		case DoneEntry:
			b.Done = append(b.Done, e.Says+" ("+owner(e.Owner)+")")
		case OpenEntry:
			line := owner(e.Owner) + ": " + e.Says
			if !e.Due.IsZero() {
				line += ", due " + stamp(e.Due)
				if now.After(e.Due) {
					line += " (OVERDUE)"
				}
			}
			b.Holds = append(b.Holds, line)
		}
	}
	if len(s.Searches) == 0 {
		b.Unknown = append(b.Unknown, "nobody has searched for signs of exploitation")
	}
	for _, x := range s.Searches {
		if x.Cannot != "" {
			b.Unknown = append(b.Unknown, "not searched: "+x.Cannot)
		}
	}
}

// byDue is the checklist, what is due first before the rest.
func (s *Incident) byDue() []Entry {
	list := slices.Clone(s.Checklist)
	slices.SortStableFunc(list, func(a, b Entry) int {
		if a.Due.IsZero() != b.Due.IsZero() {
			return cmp.Compare(zero(a.Due), zero(b.Due))
		}
		return a.Due.Compare(b.Due)
	})
	return list
}

func zero(t time.Time) int {
	if t.IsZero() {
		return 1
	}
	return 0
}

// Text prints a brief for a terminal.
func (b Brief) Text(w io.Writer) error {
	p := printer{w: w}
	p.line("incident %s: %s", b.Incident, b.Title)
	p.line("opened %s; this brief %s", b.Opened, b.At)
	if b.Closed != "" {
		p.line("CLOSED %s", b.Closed)
	}
	for _, part := range []struct {
		name  string
		lines []string
	}{{"what it can do", b.Can}, {"done", b.Done}, {"running", b.Running}, {"unknown", b.Unknown}, {"next", b.Next}, {"who holds what", b.Holds}, {"last words", b.Words}} {
		p.line("\n%s", strings.ToUpper(part.name))
		if len(part.lines) == 0 {
			p.line("  nothing")
		}
		for _, l := range part.lines {
			p.line("  %s", tame.Line(l))
		}
	}
	return p.err
}

// printer remembers the first failed write.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04Z") }
