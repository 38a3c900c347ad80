package carry_test

import (
	"crypto/ed25519"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"staunch/mandate"
	"staunch/reach/act"

	"golang.org/x/crypto/ssh"
)

func encodeOrder(t *testing.T, o act.Order) string {
	t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func removeFromOutside(m machine, path string) error { return os.Remove(m.Path(path)) }

type person struct {
	name string
	ssh.Signer
}

func people(t *testing.T, names ...string) (found []person, signers string) {
	t.Helper()
	for _, name := range names {
		_, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := ssh.NewSignerFromKey(private)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, person{name, signer})
		signers += name + " " + string(ssh.MarshalAuthorizedKey(signer.PublicKey()))
	}
	return found, signers
}

// signedOrders makes a plan of one act for each host and gives the order for the first, signed by people.
func signedOrders(t *testing.T, a act.Act, undo bool, expires time.Time, hosts []string, by ...person) act.Order {
	t.Helper()
	raw, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var leaves []mandate.Leaf
	for _, host := range hosts {
		leaves = append(leaves, mandate.Leaf{Plan: "7.1", Step: "restart", Host: host, Act: raw, Undo: undo})
	}
	tree, err := mandate.Plant(leaves)
	if err != nil {
		t.Fatal(err)
	}
	h := mandate.Header{Schema: 1, Plan: "7.1", Root: tree.Root(), Leaves: len(leaves), Expires: expires.UTC().Truncate(time.Millisecond)}
	digest, err := h.Digest()
	if err != nil {
		t.Fatal(err)
	}
	var sigs []string
	for _, p := range by {
		sig, err := mandate.Sign(p, digest)
		if err != nil {
			t.Fatal(err)
		}
		sigs = append(sigs, sig)
	}
	m, err := tree.Mandate(h, leaves, 0, sigs)
	if err != nil {
		t.Fatal(err)
	}
	return act.Order{ID: act.OrderID(digest, "restart", hosts[0], 1), Host: hosts[0], Step: "restart", Act: a, Mandate: m}
}

func forgedExpiredReplayedWrongHostAndUnderSignedOrdersAreRefused(t *testing.T, m machine) {
	who, signers := people(t, "alice", "bob")
	stranger, _ := people(t, "mallory")
	m.Exec(t, "mkdir -p /etc/staunch")
	m.Write(t, "/etc/staunch/allowed_signers", signers, 0o644)
	me := m.Name
	restart := newOrder(t, "restart", act.Restart, &act.UnitsWith{Units: []string{"tallyd.service"}, SettleMS: 200})
	stopped := newOrder(t, "stop", act.Stop, &act.UnitsWith{Units: []string{"tallyd.service"}, SettleMS: 200})
	soon := time.Now().Add(time.Hour)

	m.want(m.do(restart), act.Refused, "demands a mandate")
	// Looking needs none: whether anything is left to do, and whom keys are sealed to, is told all the same.
	running := newOrder(t, "running", act.Start, &act.UnitsWith{Units: []string{"tallyd.service"}, SettleMS: 200})
	if p := m.check(running); !p.Already || !strings.Contains(p.Refused, "demands a mandate") {
		t.Errorf("a look without a mandate: %+v", p)
	}
	sealed := newOrder(t, "recipient", act.Unseal, &act.UnsealWith{Name: "nothing", Sealed: "-", SPKI: strings.Repeat("0", 64)})
	if p := m.check(sealed); !strings.Contains(string(p.Finds), "age1") || p.Refused == "" {
		t.Errorf("the host does not tell whom keys are sealed to: %+v", p)
	}
	m.want(m.do(signedOrders(t, restart.Act, false, soon, []string{me}, who[0])), act.Refused, "1 of 2")
	m.want(m.do(signedOrders(t, restart.Act, false, soon, []string{me}, who[0], who[0])), act.Refused, "1 of 2")
	m.want(m.do(signedOrders(t, restart.Act, false, soon, []string{me}, who[0], stranger[0])), act.Refused, "not among the allowed signers")
	m.want(m.do(signedOrders(t, restart.Act, false, time.Now().Add(-time.Minute), []string{me}, who...)), act.Refused, "expired")
	m.want(m.do(signedOrders(t, restart.Act, false, soon, []string{"other"}, who...)), act.Refused, "is for host other")

	third, line := people(t, "carol")
	m.Write(t, "/etc/staunch/policy.json", `{"schema":1,"quorum":3}`, 0o644)
	m.want(m.do(signedOrders(t, restart.Act, false, soon, []string{me}, who...)), act.Refused, "2 of 3") // the host's own word, not the plan's
	m.Write(t, "/etc/staunch/policy.json", `{"schema":1,"quorum":2}`, 0o644)
	left := signedOrders(t, restart.Act, false, soon, []string{me}, who[0], third[0])
	m.Write(t, "/etc/staunch/allowed_signers", signers+line, 0o644)
	if p := m.check(left); p.Refused != "" {
		t.Errorf("while carol is on the list: %+v", p)
	}
	m.Write(t, "/etc/staunch/allowed_signers", signers, 0o644)
	m.want(m.do(left), act.Refused, "not among the allowed signers") // she has left
	m.Write(t, "/etc/staunch/allowed_signers", strings.Replace(signers, "bob ", `bob namespaces="git" `, 1), 0o644)
	m.want(m.do(signedOrders(t, restart.Act, false, soon, []string{me}, who...)), act.Refused, "not allowed for")
	m.Write(t, "/etc/staunch/allowed_signers", signers, 0o644)
	m.Exec(t, "rm /etc/staunch/policy.json")

	good := signedOrders(t, restart.Act, false, soon, []string{me, "other"}, who...)
	forged := good
	forged.Act = stopped.Act
	m.want(m.do(forged), act.Refused, "not the one in its mandate")
	elsewhere := good
	elsewhere.ID = act.OrderID(strings.Repeat("0", 64), "restart", me, 1)
	m.want(m.do(elsewhere), act.Refused, "does not belong to plan")
	if p := m.check(good); p.Refused != "" {
		t.Errorf("the preview of a good order: %+v", p)
	}
	m.want(m.do(good), act.Done, "")
	if out := m.do(good); !out.Repeat {
		t.Error("the repeated order was not answered from the journal")
	}
	replayed := good
	replayed.ID = strings.TrimSuffix(good.ID, "1") + "2"
	m.want(m.do(replayed), act.Refused, "was used")

	stop := signedOrders(t, stopped.Act, false, soon, []string{me}, who...)
	m.want(m.do(stop), act.Done, "")
	m.want(m.do(undoOf(stop)), act.Refused, "do not cover undoing")
	start := signedOrders(t, newOrder(t, "start", act.Start, &act.UnitsWith{Units: []string{"tallyd.service"}, SettleMS: 200}).Act, true, soon, []string{me}, who...)
	m.want(m.do(start), act.Done, "")
	m.want(m.do(undoOf(start)), act.Undone, "")

	// the worst night: root on the machine itself makes it safer, without anybody's vote, and only that
	local := func(id string, kind act.Kind) act.Outcome {
		return m.do(newOrder(t, id, kind, &act.UnitsWith{Units: []string{"tallyd.service"}, SettleMS: 200}), "CARRY_LOCAL=1")
	}
	m.want(local("alone-start", act.Start), act.Refused, "demands a mandate")
	m.want(local("alone-restart", act.Restart), act.Done, "")
	m.want(local("alone-stop", act.Stop), act.Done, "")
	m.want(local("alone-mask", act.Mask), act.Done, "")
	m.want(local("alone-unmask", act.Unmask), act.Refused, "demands a mandate")
	m.Write(t, "/etc/staunch/allowed_signers", "nonsense\n", 0o644)
	m.want(local("alone-stop-again", act.Stop), act.Already, "")
	m.want(m.do(signedOrders(t, restart.Act, false, soon, []string{me}, who...)), act.Refused, "line 1")
	m.Exec(t, "rm /etc/staunch/allowed_signers; systemctl unmask tallyd; systemctl start tallyd")
}
