package incident_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"staunch/fault"
	"staunch/incident"
	"staunch/inventory"
	"staunch/see/advisory"
)

var midnight = time.Date(2014, 4, 7, 22, 0, 0, 0, time.UTC)

func heartbleed() *advisory.Advisory {
	return &advisory.Advisory{
		ID: "CVE-2014-0160", Names: []string{"Heartbleed"}, Severity: advisory.High, CWE: []string{"CWE-125"},
		CVSS: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", Published: midnight,
		Affects: []advisory.Affected{{Name: "openssl", Ranges: []advisory.Range{{Introduced: "1.0.1", Fixed: "1.0.1g"}}}},
	}
}

// night plays an incident: each command is decided, encoded, decoded and folded, as the hub does it.
type night struct {
	t     *testing.T
	s     *incident.Incident
	clock time.Time
	log   []incident.Event
}

func newNight(t *testing.T) *night {
	t.Helper()
	n := &night{t: t, clock: midnight}
	n.does("ada", incident.Open{ID: "7", Advisory: heartbleed()})
	return n
}

func (n *night) tries(by string, c incident.Command) error {
	n.t.Helper()
	n.clock = n.clock.Add(time.Minute)
	events, err := incident.Decide(n.s, c, n.clock, by)
	if err != nil {
		return err
	}
	for _, e := range events {
		data, err := e.Encode()
		if err != nil {
			n.t.Fatal(err)
		}
		again, err := incident.Decode(e.Kind, e.At, e.By, data)
		if err != nil {
			n.t.Fatal(err)
		}
		if n.s, err = incident.Fold(n.s, again); err != nil {
			n.t.Fatal(err)
		}
		n.log = append(n.log, again)
	}
	return nil
}

func (n *night) does(by string, c incident.Command) {
	n.t.Helper()
	if err := n.tries(by, c); err != nil {
		n.t.Fatal(err)
	}
}

func (n *night) says() string {
	var b strings.Builder
	for _, e := range n.log {
		b.WriteString(e.Says + "\n")
	}
	return b.String()
}

// look is an answer from "host state affected facing" words.
func look(hosts ...string) incident.Look {
	a := &inventory.Answer{Catalogue: midnight, Known: len(hosts)}
	for _, words := range hosts {
		h := inventory.HostAnswer{Ring: "production"}
		var state string
		if n, err := fmt.Sscanf(words, "%s %s %d %d", &h.Host, &state, &h.Affected, &h.Facing); n < 2 {
			panic(fmt.Sprint(words, err))
		}
		h.State = inventory.State(state)
		if h.State != inventory.Unknown {
			a.Seen++
		} else {
			h.Why = "connection timed out"
		}
		a.Hosts = append(a.Hosts, h)
	}
	return incident.Look{Answer: a}
}

func TestWhatABugCanDo(t *testing.T) {
	for name, c := range map[string]struct {
		cvss    string
		cwe     []string
		harm    incident.Harm
		follows incident.Follow
	}{
		"Heartbleed":             {"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", []string{"CWE-125"}, incident.Memory, incident.FollowSecrets},
		"a crash":                {"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", []string{"CWE-476"}, incident.Denial, incident.FollowNothing},
		"Log4Shell":              {"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", []string{"CWE-502", "CWE-917"}, incident.Execution, incident.FollowRebuild},
		"only a backdoor's CWE":  {"", []string{"CWE-506"}, incident.Execution, incident.FollowRebuild},
		"version 4":              {"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N", nil, incident.Memory, incident.FollowSecrets},
		"they disagree":          {"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", []string{"CWE-787"}, incident.Execution, incident.FollowRebuild},
		"a script in a page":     {"", []string{"CWE-79"}, incident.Access, incident.FollowTokens},
		"a forged query":         {"", []string{"CWE-89"}, incident.Memory, incident.FollowSecrets},
		"bad input, of any kind": {"", []string{"CWE-20"}, incident.Unjudged, incident.FollowUnknown},
		"nothing is known":       {"", nil, incident.Unjudged, incident.FollowUnknown},
		"a strange weakness":     {"", []string{"CWE-99999"}, incident.Unjudged, incident.FollowUnknown},
		"a broken vector":        {"CVSS:3.1/AV:N", nil, incident.Unjudged, incident.FollowUnknown},
		"forging":                {"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:H/A:N", nil, incident.Integrity, incident.FollowReview},
	} {
		got := incident.Judge(&incident.Advisory{CVSS: c.cvss, CWE: c.cwe})
		if got.Harm != c.harm || got.Follows != c.follows || len(got.Because) == 0 {
			t.Errorf("%s: %+v, want %s and then %s, with a reason", name, got, c.harm, c.follows)
		}
	}
	if got := incident.Judge(nil); got.Harm != incident.Unjudged {
		t.Errorf("without an advisory: %+v", got)
	}
}

func TestAPersonOverridesTheTable(t *testing.T) {
	n := newNight(t)
	if err := n.tries("ada", incident.Override{Harm: incident.Execution}); !fault.Is(err, fault.Usage) {
		t.Errorf("an override without a reason: %v", err)
	}
	n.does("ada", incident.Override{Harm: incident.Execution, Reason: "seen in our logs"})
	worse := heartbleed()
	worse.CWE = []string{"CWE-476"}
	n.does("hub", incident.Amend{Advisory: worse})
	if n.s.Impact.Harm != incident.Execution || n.s.Impact.By != "ada" {
		t.Errorf("the table overruled a person: %+v", n.s.Impact)
	}
	if !strings.Contains(n.says(), "rebuild") && !strings.Contains(n.says(), "rebuilt") {
		t.Errorf("the new duties are missing:\n%s", n.says())
	}
}

func TestAdvisoryCorrectedAndWithdrawnInTheMiddle(t *testing.T) {
	n := newNight(t)
	before := len(n.log)
	n.does("hub", incident.Amend{Advisory: heartbleed()})
	if len(n.log) != before {
		t.Errorf("the same advisory again made events: %s", n.says())
	}
	corrected := heartbleed()
	corrected.Affects[0].Ranges[0].Fixed = "1.0.1h"
	n.does("hub", incident.Amend{Advisory: corrected})
	withdrawn := heartbleed()
	withdrawn.Withdrawn = true
	n.does("hub", incident.Amend{Advisory: withdrawn})
	for _, want := range []string{"was corrected: plans made before", "WITHDRAWN"} {
		if !strings.Contains(n.says(), want) {
			t.Errorf("nothing says %q:\n%s", want, n.says())
		}
	}
	if n.s.Closed || n.s.Amended != 2 {
		t.Errorf("closed %v, amended %d times; a withdrawal closes nothing by itself", n.s.Closed, n.s.Amended)
	}
	other := heartbleed()
	other.ID = "CVE-2014-0224"
	if err := n.tries("hub", incident.Amend{Advisory: other}); !fault.Is(err, fault.Conflict) {
		t.Errorf("another advisory: %v", err)
	}
}

func TestVotesCountForExactlyOnePlan(t *testing.T) {
	n := newNight(t)
	one, two := strings.Repeat("a", 64), strings.Repeat("b", 64)
	n.does("ada", incident.Propose{Planned: incident.Planned{Plan: "7.1", Digest: one}})
	for name, v := range map[string]incident.Vote{
		"for another digest": {Plan: "7.1", Digest: two, Voter: "ben"}, "for no plan": {Plan: "7.9", Digest: one, Voter: "ben"},
	} {
		if err := n.tries("ben", incident.Cast{Vote: v}); err == nil || fault.HintOf(err) == "" && !fault.Is(err, fault.NotFound) {
			t.Errorf("a vote %s: %v", name, err)
		}
	}
	n.does("ben", incident.Cast{Vote: incident.Vote{Plan: "7.1", Digest: one, Voter: "ben"}})
	if err := n.tries("ben", incident.Cast{Vote: incident.Vote{Plan: "7.1", Digest: one, Voter: "ben"}}); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second vote of the same person: %v", err)
	}
	n.does("ada", incident.Propose{Planned: incident.Planned{Plan: "7.2", Digest: two}})
	if err := n.tries("cleo", incident.Cast{Vote: incident.Vote{Plan: "7.1", Digest: one, Voter: "cleo"}}); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "7.2") {
		t.Errorf("a vote for a replaced plan: %v", err)
	}
	if p := n.s.Current(); p.Plan != "7.2" || len(p.Votes) != 0 || len(n.s.Plan("7.1").Votes) != 1 {
		t.Errorf("current plan %+v", p)
	}
}

func TestHostsComeGoAndAreRenamed(t *testing.T) {
	n := newNight(t)
	n.does("ada", look("web1 affected 1 1", "web2 clean 0 0"))
	n.does("ada", look("www unknown 0 0", "web2 clean 0 0"))
	if !strings.Contains(n.says(), "no longer in the fleet: web1") {
		t.Errorf("web1 left without a word:\n%s", n.says())
	}
	n = newNight(t)
	n.does("ada", look("web1 affected 1 1", "web2 clean 0 0"))
	if err := n.tries("ada", incident.Rename{From: "web1", To: "web2"}); !fault.Is(err, fault.Conflict) {
		t.Errorf("two hosts made one: %v", err)
	}
	n.does("ada", incident.Rename{From: "web1", To: "www"})
	n.does("ada", look("www clean 0 0", "web2 clean 0 0"))
	if _, was := n.s.First["www"]; !was || n.s.CleanSince["www"].IsZero() || strings.Contains(n.says(), "no longer") {
		t.Errorf("the story of web1 was lost: %+v\n%s", n.s.First, n.says())
	}
}

func TestRemindersComeWhenDueAndAgain(t *testing.T) {
	n := newNight(t)
	n.does("ada", incident.Enter{Entry: incident.Entry{Says: "call the vendor", Owner: "ben", Due: n.clock.Add(time.Hour), Every: time.Hour}})
	count := func() int { return strings.Count(n.says(), "due: call the vendor (ben)") }
	n.does("hub", incident.Remind{})
	if count() != 0 {
		t.Error("reminded before it was due")
	}
	n.clock = n.clock.Add(90 * time.Minute)
	n.does("hub", incident.Remind{})
	n.does("hub", incident.Remind{})
	if count() != 1 {
		t.Errorf("reminded %d times at once", count())
	}
	n.clock = n.clock.Add(time.Hour)
	n.does("hub", incident.Remind{})
	if count() != 2 {
		t.Errorf("reminded %d times, want again after an hour", count())
	}
}

func TestOpeningWithoutAnID(t *testing.T) {
	if _, err := incident.Decide(nil, incident.Open{ID: "8"}, midnight, "ada"); !fault.Is(err, fault.Usage) {
		t.Errorf("about nothing: %v", err)
	}
	if _, err := incident.Decide(nil, incident.Remark{Says: "x"}, midnight, "ada"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a comment on nothing: %v", err)
	}
	n := &night{t: t, clock: midnight}
	n.does("ada", incident.Open{ID: "8", Title: "openssl memory leak, no id yet", Component: "openssl", Heard: true})
	if n.s.Opened.From != "heard" || n.s.Impact.Harm != incident.Unjudged {
		t.Errorf("%+v", n.s)
	}
	n.does("ada", incident.Amend{Advisory: heartbleed()})
	if n.s.Advisory.ID != "CVE-2014-0160" || n.s.Impact.Harm != incident.Memory {
		t.Errorf("the id was found: %+v, %+v", n.s.Advisory, n.s.Impact)
	}
}

func TestBriefForWhoComesNext(t *testing.T) {
	n := newNight(t)
	n.does("ada", look("web1 affected 3 1", "silent unknown 0 0\x1b"))
	n.does("ben", incident.Remark{Says: "the vendor calls back at five"})
	var out bytes.Buffer
	b := n.s.Brief(n.clock.Add(30*time.Hour), []incident.Progress{{Plan: "7.1", State: "waiting", Settled: 2, Total: 9, Failed: []string{"restart-web on web1"}, Missing: []string{"production: 1 more of 2 votes"}}})
	if err := b.Text(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"plan 7.1 waits: 2 of 9", "FAILED: restart-web", "1 more of 2 votes", "silent: connection timed out", "NOBODY OWNS IT", "OVERDUE", "nobody has searched", "1 host is still affected: web1", "ben: the vendor calls back at five"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the brief lacks %q:\n%s", want, out.String())
		}
	}
}

// FuzzLooksAreReadAlike: the quick reader of looks gives what encoding/json gives, or leaves the event to it.
func FuzzLooksAreReadAlike(f *testing.F) {
	full := incident.HostState{
		HostAnswer: inventory.HostAnswer{Host: "web1", Ring: "production", State: inventory.Affected, Why: "größer", Taken: midnight, Affected: 3, Stale: 1, Unknown: 2, Dormant: 4, Facing: 1, Holding: 9},
		Units:      []incident.UnitState{{Unit: "nginx.service", Process: "nginx", State: "affected", Component: "openssl", Version: "1.0.1c", Exposure: "public", Fix: "upgrade", Count: 3}},
	}
	for _, l := range []incident.Looked{{}, {Catalogue: midnight, Known: 5, Seen: 4, Hosts: []incident.HostState{full, {}}, Gone: []string{"old"}, More: true}} {
		data, err := incident.Event{Says: "looked", Looked: &l}.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	for _, odd := range []string{`{"says":"a\\"b"}`, `{"says":null}`, `{"looked":{"hosts":[{"host":"a"},{"host":"b","host":"c"}]}}`, `{"looked":{"hosts_seen":-0,"more":false,"x":1}}`, `{"looked":{"hosts_seen":01}}`, `{"Says":"x"}`, `{"says":"x"} `, `{}`, `[]`, `{"looked":{"hosts":[{"units":[]}]}}`} {
		f.Add(odd)
	}
	f.Fuzz(func(t *testing.T, data string) {
		var want incident.Event
		bad := json.Unmarshal([]byte(data), &want)
		got, err := incident.Decode(incident.WasLooked, midnight, "ada", []byte(data))
		want.Kind, want.At, want.By = incident.WasLooked, midnight, "ada"
		if (err == nil) != (bad == nil) || bad == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%s\nis read as %+v (%v)\nwant       %+v (%v)", data, got, err, want, bad)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add("looked", `{"says":"x","looked":{"hosts":[{"host":"a","state":"affected"}]}}`)
	f.Add("planned", `{"says":"x"}`)
	f.Fuzz(func(_ *testing.T, kind, data string) {
		s, err := incident.Fold(nil, incident.Event{Kind: incident.WasOpened, Opened: &incident.Opened{ID: "1"}})
		if err != nil {
			return
		}
		if e, err := incident.Decode(incident.Kind(kind), midnight, "x", []byte(data)); err == nil {
			if s, err = incident.Fold(s, e); err == nil {
				s.Brief(midnight, nil)
			}
		}
	})
}
