package mandate_test

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"staunch/fault"
	"staunch/mandate"

	"golang.org/x/crypto/ssh"
)

// voter is a person with a fresh key.
type voter struct {
	name   string
	signer ssh.Signer
}

func newVoter(t testing.TB, name string) voter {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return voter{name, signer}
}

func (v voter) line(options string) string {
	return strings.Join(strings.Fields(v.name+" "+options+" "+string(ssh.MarshalAuthorizedKey(v.signer.PublicKey()))), " ") + "\n"
}

func signersOf(t testing.TB, text string) *mandate.Signers {
	t.Helper()
	s, err := mandate.ParseSigners([]byte(text), time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var now = time.Date(2014, 4, 8, 1, 0, 0, 0, time.UTC)

// planOf makes leaves for hosts web1, web2 ... and a header that fits them.
func planOf(t testing.TB, hosts int) (mandate.Header, []mandate.Leaf) {
	t.Helper()
	var leaves []mandate.Leaf
	for i := range hosts {
		leaves = append(leaves, mandate.Leaf{
			Plan: "7.1", Step: "upgrade", Host: fmt.Sprintf("web%d", i+1), Ring: "canary",
			Act: json.RawMessage(`{"kind":"upgrade","with":{"packages":[{"name":"libssl1.0.0","version":"1.0.1e-2+deb7u5"}]}}`),
		})
	}
	tree, err := mandate.Plant(leaves)
	if err != nil {
		t.Fatal(err)
	}
	return mandate.Header{Schema: 1, Plan: "7.1", Root: tree.Root(), Leaves: hosts, Expires: now.Add(time.Hour)}, leaves
}

func signed(t testing.TB, h mandate.Header, voters ...voter) []string {
	t.Helper()
	digest, err := h.Digest()
	if err != nil {
		t.Fatal(err)
	}
	var sigs []string
	for _, v := range voters {
		sig, err := mandate.Sign(v.signer, digest)
		if err != nil {
			t.Fatal(err)
		}
		sigs = append(sigs, sig)
	}
	return sigs
}

// order gives the mandate for a leaf as a host reads it from the wire.
func order(t testing.TB, h mandate.Header, leaves []mandate.Leaf, i int, sigs []string) mandate.Mandate {
	t.Helper()
	raw, err := mandate.Make(h, leaves, i, sigs)
	if err != nil {
		t.Fatal(err)
	}
	m, err := mandate.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestEveryHostOfASignedPlanMayActAndLearnsWhoSigned(t *testing.T) {
	alice, bob := newVoter(t, "alice"), newVoter(t, "bob")
	for _, hosts := range []int{1, 2, 3, 5, 8, 13} {
		h, leaves := planOf(t, hosts)
		sigs := signed(t, h, bob, alice)
		for i := range leaves {
			grant, err := order(t, h, leaves, i, sigs).Check(mandate.Demand{
				Signers: signersOf(t, alice.line("")+bob.line("")), Quorum: 2, Now: now, Hosts: []string{leaves[i].Host},
			})
			if err != nil {
				t.Fatalf("leaf %d of %d: %v", i, hosts, err)
			}
			if got := strings.Join(grant.People, " "); got != "alice bob" {
				t.Errorf("signed by %q", got)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	alice, bob, mallory := newVoter(t, "alice"), newVoter(t, "bob"), newVoter(t, "mallory")
	both := alice.line("") + bob.line("")
	h, leaves := planOf(t, 5)
	full := func() mandate.Mandate { return order(t, h, leaves, 2, signed(t, h, alice, bob)) }
	demand := func() mandate.Demand {
		return mandate.Demand{Signers: signersOf(t, both), Quorum: 2, Now: now, Hosts: []string{"web3"}}
	}
	for name, c := range map[string]struct {
		says   string
		change func(m *mandate.Mandate, d *mandate.Demand)
	}{
		"under-signed": {"1 of 2", func(m *mandate.Mandate, _ *mandate.Demand) { m.Signatures = m.Signatures[:1] }},
		"one person twice": {"more than once", func(m *mandate.Mandate, _ *mandate.Demand) {
			m.Signatures = []string{m.Signatures[0], m.Signatures[0]}
		}},
		"a stranger's signature": {"not among the allowed", func(m *mandate.Mandate, _ *mandate.Demand) {
			m.Signatures[1] = signed(t, h, mallory)[0]
		}},
		"another host's order": {"this is web4", func(_ *mandate.Mandate, d *mandate.Demand) { d.Hosts = []string{"web4"} }},
		"the host in the leaf changed": {"not the one that was signed", func(m *mandate.Mandate, d *mandate.Demand) {
			m.Leaf.Host, d.Hosts = "web9", []string{"web9"}
		}},
		"another act": {"not the one that was signed", func(m *mandate.Mandate, _ *mandate.Demand) {
			m.Leaf.Act = json.RawMessage(`{"kind":"reboot","with":{}}`)
		}},
		"undo was not signed": {"not the one that was signed", func(m *mandate.Mandate, _ *mandate.Demand) { m.Leaf.Undo = true }},
		"expired":             {"expired", func(_ *mandate.Mandate, d *mandate.Demand) { d.Now = now.Add(time.Hour) }},
		"expiry moved":        {"0 of 2", func(m *mandate.Mandate, _ *mandate.Demand) { m.Header.Expires = now.Add(99 * time.Hour) }},
		"not yet":             {"0 of 2", func(m *mandate.Mandate, _ *mandate.Demand) { m.Header.NotBefore = now.Add(-time.Hour) }},
		"quorum lowered":      {"0 of 2", func(m *mandate.Mandate, _ *mandate.Demand) { m.Header.Quorum = map[string]int{"canary": 1} }},
		"host wants three":    {"2 of 3", func(_ *mandate.Mandate, d *mandate.Demand) { d.Quorum = 3 }},
		"no signers":          {"0 of 2", func(_ *mandate.Mandate, d *mandate.Demand) { d.Signers = nil }},
		"path cut":            {"does not lead", func(m *mandate.Mandate, _ *mandate.Demand) { m.Path = m.Path[1:] }},
		"path grown":          {"does not lead", func(m *mandate.Mandate, _ *mandate.Demand) { m.Path = append(m.Path, m.Path[0]) }},
		"another index":       {"", func(m *mandate.Mandate, _ *mandate.Demand) { m.Index = 3 }},
		"negative index":      {"does not lead", func(m *mandate.Mandate, _ *mandate.Demand) { m.Index = -1 }},
		"leaf of another plan": {"signatures of plan 7.1", func(m *mandate.Mandate, _ *mandate.Demand) {
			m.Leaf.Plan = "8.1"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m, d := full(), demand()
			if _, err := m.Check(d); err != nil {
				t.Fatalf("before the change: %v", err)
			}
			c.change(&m, &d)
			_, err := m.Check(d)
			if !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want a refusal with %q", err, c.says)
			}
		})
	}
}

func TestThePlanMayAskForMoreThanTheHostNeverForLess(t *testing.T) {
	alice, bob := newVoter(t, "alice"), newVoter(t, "bob")
	h, leaves := planOf(t, 2)
	h.Quorum = map[string]int{"canary": 2}
	d := mandate.Demand{Signers: signersOf(t, alice.line("")+bob.line("")), Quorum: 1, Now: now, Hosts: []string{"web1"}}
	if _, err := order(t, h, leaves, 0, signed(t, h, alice)).Check(d); !fault.Is(err, fault.Denied) {
		t.Errorf("one signature was enough: %v", err)
	}
	if _, err := order(t, h, leaves, 0, signed(t, h, alice, bob)).Check(d); err != nil {
		t.Error(err)
	}
}

func TestNamesAndKeysOfOnePersonCountOnce(t *testing.T) {
	laptop, yubi, other := newVoter(t, "alice"), newVoter(t, "alice"), newVoter(t, "alice@home,alice")
	shared := voter{"bob", laptop.signer} // bob's line repeats alice's key
	h, leaves := planOf(t, 1)
	d := mandate.Demand{
		Signers: signersOf(t, laptop.line("")+other.line("")+yubi.line("")+shared.line("")),
		Quorum:  2, Now: now, Hosts: []string{"web1"},
	}
	if _, err := order(t, h, leaves, 0, signed(t, h, laptop, yubi, other)).Check(d); !fault.Is(err, fault.Denied) {
		t.Errorf("three keys of one person made a quorum: %v", err)
	}
	if n := d.Signers.People(now); n != 1 {
		t.Errorf("%d people, want 1", n)
	}
}

func TestSignersFile(t *testing.T) {
	v := newVoter(t, "alice")
	h, leaves := planOf(t, 1)
	sigs := signed(t, h, v)
	for options, says := range map[string]string{
		"":                                     "ok",
		`namespaces="staunch-plan"`:            "ok",
		`namespaces="git,staunch-*"`:           "ok",
		`namespaces="git"`:                     "not allowed for",
		`namespaces="*,!staunch-plan"`:         "not allowed for",
		`valid-after="20140408"`:               "ok",
		`valid-after="20140408010001Z"`:        "not valid yet",
		`valid-before="201404080100"`:          "not valid any more",
		`valid-before="20140409",namespaces=*`: "ok",
	} {
		_, err := order(t, h, leaves, 0, sigs).Check(mandate.Demand{Signers: signersOf(t, v.line(options)), Now: now, Hosts: []string{"web1"}})
		if got := fmt.Sprint(err); err == nil && says != "ok" || err != nil && !strings.Contains(got, says) {
			t.Errorf("%s: %v, want %s", options, err, says)
		}
	}
	for text, says := range map[string]string{
		v.line("cert-authority"):                   "cert-authority",
		v.line("no-touch-required"):                "not understood",
		v.line(`valid-after="yesterday"`):          "is not YYYYMMDD",
		"*@example.org " + v.line("")[6:]:          "wildcards",
		"alice\n":                                  "no public key",
		"# fine\n\nalice ssh-ed25519 AAAA\n":       "line 3",
		"alice ssh-dss " + strings.Repeat("A", 40): "no public key",
	} {
		if _, err := mandate.ParseSigners([]byte(text), time.UTC); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.40q: %v, want %q", text, err, says)
		}
	}
}

func TestAStepTwiceForOneHostIsNotAPlan(t *testing.T) {
	_, leaves := planOf(t, 2)
	leaves[1].Host = leaves[0].Host
	if _, err := mandate.Plant(leaves); !fault.Is(err, fault.Usage) {
		t.Errorf("planted: %v", err)
	}
}
