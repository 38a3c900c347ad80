package incident

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"staunch/inventory"
	"staunch/phrase"
)

// duty is a checklist entry that a harm brings with it.
type duty struct {
	id, says string
	within   time.Duration
	every    time.Duration
	harms    []Harm // nil: always
}

// duties are what people forget at three in the morning. Owners are put in by the team; until then the brief says loudly that nobody owns them.
func duties() []duty {
	leak := []Harm{Memory, Execution, Unjudged}
	in := []Harm{Memory, Execution, Access, Unjudged}
	return []duty{
		{"lead", "say who leads, and who takes over when they sleep", time.Hour, time.Hour, nil},
		{"search", "search for signs that it was used against us, as far back as logs go, and say what could not be searched", 24 * time.Hour, 12 * time.Hour, in},
		{"customers", "decide what customers and users are told, and when", 24 * time.Hour, 12 * time.Hour, in},
		{"legal", "ask legal and data protection whether a notification is due (GDPR article 33: 72 hours from knowing of a breach)", 24 * time.Hour, 12 * time.Hour, in},
		{"ca", "ask the certificate authority about its limits before reissuing many certificates, and who can revoke", 12 * time.Hour, 6 * time.Hour, leak},
		{"users", "decide whether users must choose new passwords, and when: only after the servers are clean", 48 * time.Hour, 24 * time.Hour, leak},
		{"vendors", "ask vendors and hosted services that hold our data or terminate our TLS whether they were affected", 24 * time.Hour, 24 * time.Hour, leak},
		{"rebuild", "decide which hosts are rebuilt from scratch", 48 * time.Hour, 24 * time.Hour, []Harm{Execution}},
		{"review", "review this plan's steps with somebody who did not make it", 12 * time.Hour, 0, nil},
	}
}

// Duties are the checklist entries that an impact brings with it.
func Duties(i Impact, at time.Time) []Entry {
	var list []Entry
	for _, d := range duties() {
		wanted := d.harms == nil
		for _, h := range d.harms {
			wanted = wanted || h == i.Harm
		}
		if wanted {
			list = append(list, Entry{ID: d.id, Says: d.says, Due: at.Add(d.within), Every: d.every, State: OpenEntry})
		}
	}
	return list
}

func sayEntry(e Entry) string {
	switch e.State {
	case DoneEntry:
		return strings.TrimSuffix(fmt.Sprintf("checklist: %s is done: %s: %s", e.ID, e.Says, e.Reason), ": ")
	case Dropped:
		return fmt.Sprintf("checklist: %s is dropped: %s (because: %s)", e.ID, e.Says, e.Reason)
	}
	due := ""
	if !e.Due.IsZero() {
		due = ", due " + e.Due.UTC().Format("2006-01-02 15:04Z")
	}
	return fmt.Sprintf("checklist: %s: %s (%s%s)", e.ID, e.Says, owner(e.Owner), due)
}

func sayAdvisory(a *Advisory) string {
	parts := []string{strings.Join(append([]string{a.ID}, a.Names...), " ")}
	parts = append(parts, "severity "+cmp.Or(string(a.Severity), "unknown"))
	if a.KnownExploited {
		parts = append(parts, "known to be exploited")
	}
	if a.Withdrawn {
		parts = append(parts, "WITHDRAWN by its source")
	}
	if a.CVSS != "" {
		parts = append(parts, a.CVSS)
	}
	return strings.Join(append(parts, a.CWE...), ", ")
}

func sayImpact(i Impact) string {
	return fmt.Sprintf("what it can do: %s; what must follow: %s", i.Harm.Says(), i.Follows.Says())
}

// sayChanges words how hosts changed since the look before.
func sayChanges(s *Incident, fresh []HostState) string {
	var clean, worse, other []string
	for _, h := range fresh {
		old := s.Hosts[h.Host]
		switch {
		case old != nil && old.State == inventory.Affected && h.State == inventory.Clean:
			clean = append(clean, h.Host)
		case h.State == inventory.Affected && (old == nil || old.State != inventory.Affected):
			worse = append(worse, h.Host)
		case old == nil || old.State != h.State:
			other = append(other, h.Host+" "+string(h.State))
		}
	}
	var parts []string
	for _, p := range []struct {
		words string
		hosts []string
	}{{"clean now: ", clean}, {"AFFECTED now: ", worse}, {"changed: ", other}} {
		if len(p.hosts) > 0 {
			parts = append(parts, p.words+strings.Join(phrase.Some(p.hosts, 8), ", "))
		}
	}
	return cmp.Or(strings.Join(parts, "; "), "fewer or other processes on "+strings.Join(phrase.Some(hostNames(fresh), 8), ", "))
}

func hostNames(hosts []HostState) []string {
	out := make([]string, len(hosts))
	for i := range hosts {
		out[i] = hosts[i].Host
	}
	return out
}
