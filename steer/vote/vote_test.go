package vote

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"staunch/fault"
	"staunch/mandate"
	"staunch/steer/plan"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

var now = time.Date(2026, 4, 7, 20, 0, 0, 0, time.UTC)

// person is somebody with a key.
type person struct {
	name    string
	signer  ssh.Signer
	private ed25519.PrivateKey
}

func somebody(t *testing.T, name string) person {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return person{name, signer, private}
}

func listed(t *testing.T, people ...person) *mandate.Signers {
	t.Helper()
	var text strings.Builder
	for _, p := range people {
		text.WriteString(p.name + " " + string(ssh.MarshalAuthorizedKey(p.signer.PublicKey())))
	}
	list, err := mandate.ParseSigners([]byte(text.String()), time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// night is a plan of two rings, the second of which needs two votes.
func night(t *testing.T, title string) *plan.Sealed {
	t.Helper()
	gate := func(ring string, votes int) plan.Step {
		return plan.Step{ID: "look-" + ring, Kind: plan.Gate, Ring: ring, Targets: []plan.Target{{Host: ring}}, Votes: votes, Tries: 1, DeadlineMS: 1, Proves: []plan.Predicate{{Kind: plan.Reachable}}}
	}
	sealed, err := plan.Seal(plan.Plan{
		ID: "7.1", Incident: "7", Title: title, Made: now, Expires: now.Add(time.Hour), Rings: []plan.Ring{{Name: "canary", Width: 1, Quorum: 1}, {Name: "production", Width: 1, Quorum: 2}},
		Steps: []plan.Step{gate("canary", 1), gate("production", 2)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func (p person) votes(t *testing.T, sealed *plan.Sealed) Vote {
	t.Helper()
	v, err := Sign(p.signer, sealed, now)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVotesReachAsFarAsTheirRings(t *testing.T) {
	ada, ben, eve := somebody(t, "ada"), somebody(t, "ben"), somebody(t, "eve")
	second := somebody(t, "ada") // another key of the same person
	list, sealed := listed(t, ada, second, ben), night(t, "fix it")
	production := sealed.Plan().Step("look-production")
	for _, c := range []struct {
		what  string
		votes []Vote
		ring  string
		all   bool
	}{
		{"nobody", nil, "", false},
		{"one", []Vote{ada.votes(t, sealed)}, "canary", false},
		{"two keys of one person", []Vote{ada.votes(t, sealed), second.votes(t, sealed)}, "canary", false},
		{"one and a stranger", []Vote{ada.votes(t, sealed), eve.votes(t, sealed)}, "canary", false},
		{"two", []Vote{ada.votes(t, sealed), ben.votes(t, sealed)}, "production", true},
	} {
		tally := Count(sealed, c.votes, list, now)
		if ring, all := tally.Last(); ring != c.ring || all != c.all {
			t.Errorf("%s: up to %q, all %v", c.what, ring, all)
		}
		if err := tally.Allows(production); (err == nil) != c.all {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	if err := Count(sealed, []Vote{eve.votes(t, sealed)}, list, now).Allows(production); err == nil || !strings.Contains(err.Error(), "not among the allowed signers") {
		t.Errorf("a stranger's vote is not explained: %v", err)
	}
}

func TestTwoPeopleWhoReadDifferentTextsAreTold(t *testing.T) {
	ada, ben := somebody(t, "ada"), somebody(t, "ben")
	list, one, other := listed(t, ada, ben), night(t, "fix it"), night(t, "fix it, and the database too")
	tally := Count(one, []Vote{ada.votes(t, one), ben.votes(t, other)}, list, now)
	if len(tally.People) != 1 || len(tally.Void) != 1 || tally.Void[0].By != "ben" || !strings.Contains(tally.Void[0].Why, "somebody looked at another text") {
		t.Errorf("%+v", tally)
	}
	forged := ben.votes(t, other)
	forged.Digest = one.Digest
	if _, err := Check(forged, one, list); err == nil {
		t.Error("a signature under another digest counted")
	}
}

func TestGlassIsBrokenLoudlyAndReviewedBySomebodyElse(t *testing.T) {
	ada, ben, eve := somebody(t, "ada"), somebody(t, "ben"), somebody(t, "eve")
	list, sealed := listed(t, ada, ben), night(t, "fix it")
	word := func(p person, kind WordKind, at time.Time) Spoken {
		s, err := Speak(p.signer, Word{Kind: kind, Incident: "7", Plan: sealed.Digest, Reason: "nobody else is awake", At: at})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	words := []Spoken{word(ada, BreakGlass, now), word(eve, BreakGlass, now), word(ada, Review, now.Add(time.Minute))}
	broken := Glass(sealed, words, list, now.Add(time.Hour))
	if len(broken) != 1 || broken[0].By != "ada" || broken[0].Reviewed != "" {
		t.Fatalf("%+v", broken)
	}
	words = append(words, word(ben, Review, now.Add(time.Minute)))
	if broken = Glass(sealed, words, list, now.Add(time.Hour)); broken[0].Reviewed != "ben" {
		t.Errorf("%+v", broken)
	}
	words[0].Reason = "something else"
	if len(Glass(sealed, words, list, now.Add(time.Hour))) != 0 {
		t.Error("a changed reason was still signed")
	}
	if _, err := Speak(ada.signer, Word{Kind: BreakGlass, Incident: "7", Plan: sealed.Digest, At: now}); !fault.Is(err, fault.Usage) {
		t.Errorf("glass broken without a reason: %v", err)
	}
}

func TestAStandingVoteCoversMoreHostsAndNothingElse(t *testing.T) {
	ada := somebody(t, "ada")
	list := listed(t, ada)
	widen := func(hosts int, rings ...string) Spoken {
		s, err := Speak(ada.signer, Word{Kind: Widen, Incident: "7", Rings: rings, Hosts: hosts, Reason: "the rest answers later tonight", At: now, Until: now.Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	from := night(t, "fix it").Plan()
	grown := *from
	grown.Steps = append([]plan.Step(nil), from.Steps...)
	grown.Steps[1].Targets = append([]plan.Target{{Host: "late"}}, grown.Steps[1].Targets...)
	more := plan.Compare(from, &grown)
	if err := Covered(more, widen(1, "production"), "7", list, now); err != nil {
		t.Errorf("one more host of production: %v", err)
	}
	changed := grown
	changed.Rings = []plan.Ring{{Name: "canary", Width: 9, Quorum: 1}, {Name: "production", Width: 1, Quorum: 2}}
	for what, err := range map[string]error{
		"another ring":      Covered(more, widen(1, "canary"), "7", list, now),
		"another incident":  Covered(more, widen(1, "production"), "8", list, now),
		"after its end":     Covered(more, widen(1, "production"), "7", list, now.Add(2*time.Hour)),
		"more than hosts":   Covered(plan.Compare(from, &changed), widen(1, "production"), "7", list, now),
		"somebody unlisted": Covered(more, widen(1, "production"), "7", listed(t, somebody(t, "ben")), now),
	} {
		if err == nil {
			t.Errorf("covered: %s", what)
		}
	}
}

func TestKeysComeFromFilesAndAgents(t *testing.T) {
	ada, ben := somebody(t, "ada"), somebody(t, "ben")
	dir := t.TempDir()
	block, err := ssh.MarshalPrivateKeyWithPassphrase(ada.private, "ada", []byte("open"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "key")
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := FromFile(path, nil); !fault.Is(err, fault.Denied) {
		t.Errorf("a locked key without anybody to ask: %v", err)
	}
	if got, err := FromFile(path, func(string) ([]byte, error) { return []byte("open"), nil }); err != nil || ssh.FingerprintSHA256(got.PublicKey()) != ssh.FingerprintSHA256(ada.signer.PublicKey()) {
		t.Errorf("a locked key: %v", err)
	}
	ring := agent.NewKeyring()
	for _, p := range []person{ada, ben} {
		if err := ring.Add(agent.AddedKey{PrivateKey: p.private}); err != nil {
			t.Fatal(err)
		}
	}
	socket := filepath.Join(dir, "agent")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(ring, conn) }()
		}
	}()
	nobody := func(ssh.PublicKey) error { return fault.New(fault.Denied, "not on the list") }
	if _, _, err := FromAgent(socket, nobody); !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "none of the agent's 2 keys") {
		t.Errorf("an agent whose keys may not vote: %v", err)
	}
	signer, hangUp, err := FromAgent(socket, func(key ssh.PublicKey) error {
		if !bytes.Equal(key.Marshal(), ben.signer.PublicKey().Marshal()) {
			return fault.New(fault.Denied, "somebody else's")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp()
	sealed := night(t, "fix it")
	v, err := Sign(signer, sealed, now)
	if err != nil {
		t.Fatal(err)
	}
	if who, err := Check(v, sealed, listed(t, ada, ben)); err != nil || who != "ben" {
		t.Errorf("%q, %v", who, err)
	}
}
