package report_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"staunch/fault"
	"staunch/incident"
	"staunch/incident/blast"
	"staunch/incident/report"
	"staunch/inventory"
	"staunch/see/advisory"

	"golang.org/x/net/html"
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

func TestTheNightFromOpeningToReport(t *testing.T) {
	n := newNight(t)
	n.does("ada", look("web1 affected 3 1", "web2 affected 1 1", "db1 affected 1 0", "silent unknown 0 0"))
	n.does("ada", incident.Trace{Blast: radius()})
	n.does("ada", incident.Propose{Planned: incident.Planned{Plan: "7.1", Digest: strings.Repeat("a", 64), Title: "upgrade libssl", Steps: 9, Hosts: 3}})
	n.does("ben", incident.Cast{Vote: incident.Vote{Plan: "7.1", Digest: strings.Repeat("a", 64), Voter: "ben"}})
	n.does("hub", look("web1 clean 0 0", "web2 affected 1 1", "db1 affected 1 0", "silent unknown 0 0"))
	n.does("hub", look("web1 clean 0 0", "web2 clean 0 0", "db1 affected 1 0", "silent unknown 0 0"))
	if m := n.s.Milestones; len(m) != 1 || m[0].Milestone != incident.PublicClean || !strings.Contains(m[0].Says, "3 of 4") || !strings.Contains(m[0].Says, "silent") {
		t.Fatalf("milestones: %+v; want public clean on 3 of 4, naming the silent host", m)
	}
	n.does("hub", look("web1 clean 0 0", "web2 clean 0 0", "db1 clean 0 0", "silent unknown 0 0"))
	n.does("ada", incident.Searched{Search: incident.Search{What: "proxy logs", Since: midnight.AddDate(0, 0, -30), Found: "nothing", Cannot: "packet captures: none are kept"}})
	n.does("ada", incident.Enter{Entry: incident.Entry{ID: "customers", Owner: "cleo", State: incident.DoneEntry, Reason: "mail sent"}})
	n.does("ada", incident.Note{Lesson: incident.Lesson{Kind: "wrong", Says: "nobody knew who owns db1"}})
	if err := n.tries("ada", incident.Close{}); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "silent") || strings.Contains(err.Error(), "customers") {
		t.Errorf("closing with a silent host: %v", err)
	}
	n.does("ada", incident.Close{Reason: "silent is being scrapped"})

	var md, page bytes.Buffer
	r := report.Write(n.s, n.lines(), "abc", time.FixedZone("CEST", 7200))
	if err := r.Markdown(&md, false); err != nil {
		t.Fatal(err)
	}
	if err := r.HTML(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Heartbleed", "3 hosts ran affected code, on 2 of them where strangers can reach it", "Unknown: silent counts as neither clean nor affected (connection timed out)", "The weakness is CVE-2014-0160, Heartbleed, severity high", "## Milestones", "public part clean",
		"customer names, passwords", "shop.example.org", "SESSION_SECRET", "packet captures", "nobody knew who owns db1", "CEST", "22:0", "look at silent",
	} {
		if !strings.Contains(md.String(), want) {
			t.Errorf("the Markdown report lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(md.String())
	}
	for _, want := range []string{"<svg", "shop.example.org", "public part clean"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the HTML report lacks %q", want)
		}
	}
	if _, err := html.Parse(&page); err != nil {
		t.Error(err)
	}
}

func (n *night) lines() []report.Line {
	var lines []report.Line
	for i, e := range n.log {
		lines = append(lines, report.Line{Seq: int64(i) + 1, At: e.At, Stored: e.At, By: e.By, Kind: "incident." + string(e.Kind), Says: e.Says})
	}
	return lines
}

// radius is a key and a secret of the shop's web server.
func radius() blast.Radius {
	return blast.Radius{
		Hosts: 2, Unseen: []string{"db1: process 5: not allowed"},
		Keys: []blast.Key{{
			SPKI: strings.Repeat("1f", 32), Type: "rsa 2048", Names: []string{"shop.example.org"}, Readers: []string{"web1 nginx.service"},
			How: []string{"ssl_certificate_key in /etc/nginx/nginx.conf"}, Files: []string{"web1:/etc/ssl/private/shop.key"}, Also: []string{"db1"}, Endpoints: []string{"shop.example.org:443"},
		}},
		Secrets:  []blast.Secret{{Kind: "session", Name: "SESSION_SECRET", Where: "environment", Readers: []string{"web1 nginx.service"}}},
		Services: []blast.Service{{Service: "shop", Owner: "cleo", Holds: []string{"customer names", "passwords"}, Hosts: []string{"web1"}}},
	}
}
