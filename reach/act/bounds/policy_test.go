package bounds

import (
	"testing"

	"staunch/fault"
	"staunch/reach/act"
)

func TestPoliciesAreReadStrictly(t *testing.T) {
	for _, text := range []string{
		``, `{}`, `[]`, `null`, `{"schema":2}`, `{"schema":1,"untis":[]}`, `{"schema":1,"units":["["]}`, `{"schema":1,"quorum":-1}`,
		`{"schema":1,"acts":["shell"]}`, `{"schema":1,"allow":["everything"]}`, `{"schema":1,"directories":["etc"]}`, `{"schema":1,"read_only":false,"read_only":true}`,
		`{"schema":1} {"schema":1}`,
	} {
		if p, err := ParsePolicy([]byte(text)); err == nil {
			t.Errorf("%s was taken as %+v", text, p)
		}
	}
}

func TestAnAbsentListBoundsNothingAnEmptyOneEverything(t *testing.T) {
	open, err := ParsePolicy([]byte(`{"schema":1}`))
	if err != nil || open.Unit("x.service") != nil || open.Package("x") != nil || open.Hook("x") != nil || open.Kind(act.Reboot) != nil {
		t.Errorf("absent lists: %+v, %v", open, err)
	}
	shut, err := ParsePolicy([]byte(`{"schema":1,"units":[],"packages":[],"hooks":[],"acts":[],"directories":[]}`))
	if err != nil || shut.Unit("x.service") == nil || shut.Package("x") == nil || shut.Hook("x") == nil || shut.Kind(act.Reboot) == nil || shut.directory("/srv/x") == nil {
		t.Errorf("empty lists: %+v, %v", shut, err)
	}
}

func TestWordsByAnyName(t *testing.T) {
	for unit, word := range map[string]Word{
		"ssh.service": WordSSH, "sshd@1-2.service": WordSSH, "ssh.socket": WordSSH, "dbus.socket": WordBus, "systemd-logind.service": WordLogin, "user@0.service": WordLogin,
		"docker.socket": WordContainers, "wg-quick@wg0.service": WordNetwork, "multi-user.target": WordBus, "nginx.service": "",
	} {
		if got := WordOfUnit(unit); got != word {
			t.Errorf("%s needs %q, want %q", unit, got, word)
		}
	}
}

func TestQuorumFitsTheTeam(t *testing.T) {
	for _, c := range []struct{ policy, people, want int }{{0, 0, 1}, {0, 1, 1}, {0, 2, 2}, {0, 9, 2}, {3, 9, 3}, {3, 1, 3}} {
		if got := (Policy{Quorum: c.policy}).Needs(c.people); got != c.want {
			t.Errorf("policy %d, %d people: %d, want %d", c.policy, c.people, got, c.want)
		}
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(`{"schema":1,"units":["a*"],"allow":["ssh"],"quorum":2}`))
	f.Add([]byte(`{"schema":1,"directories":["/etc/nginx"],"acts":["place"]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePolicy(b)
		if err != nil {
			if k := fault.KindOf(err); k != fault.Corrupt && k != fault.Full {
				t.Fatalf("%q: kind %s", b, k)
			}
			return
		}
		if p.Needs(0) < 1 {
			t.Fatal("no signature needed")
		}
	})
}
