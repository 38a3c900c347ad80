package borrow_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"staunch/fault"
	"staunch/reach/fleet"
	"staunch/reach/fleet/borrow"
)

func names(hosts []fleet.Host) string {
	var out []string
	for _, h := range hosts {
		out = append(out, h.Name)
	}
	return strings.Join(out, " ")
}

func TestBorrowsWhatTheTeamHas(t *testing.T) {
	for _, c := range []struct{ name, text, hosts, web string }{
		{"names.txt", "web1\n\n# c\nadmin@db1:2222 # main\n10.0.0.7\n", "web1 db1 10.0.0.7", ""},
		{"config", "Host *\n  User x\nHost web1 web2 !no *.x\n  HostName 1.2.3.4\nHost github.com\n", "web1 web2", ""},
		{"hosts", "mail ansible_host=10.1.1.1\n[web]\nweb[1:2] ansible_user=deploy\n[db]\ndb1:2022\n[all2:children]\nweb\n[web:vars]\na=b\n", "db1 mail web1 web2", "web1 web2"},
		{"inv.yml", "all:\n  hosts:\n    mail:\n      ansible_host: 10.1.1.1\n  children:\n    web:\n      hosts:\n        web1:\n        web2: {ansible_port: 2022}\n", "mail web1 web2", "web1 web2"},
		{"list.json", `{"_meta":{"hostvars":{"mail":{"ansible_host":"10.1.1.1"}}},"all":{"children":["ungrouped","web"]},"ungrouped":{"hosts":["mail"]},"web":{"hosts":["web1","web2"]}}`, "mail web1 web2", "web1 web2"},
	} {
		f, err := borrow.Read([]byte(c.text), c.name, borrow.Files{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := names(f.Hosts); got != c.hosts {
			t.Errorf("%s: hosts %q, want %q", c.name, got, c.hosts)
		}
		if c.web != "" {
			if web, err := f.Select("label=web", nil); err != nil || names(web) != c.web {
				t.Errorf("%s: web is %q, %v", c.name, names(web), err)
			}
			if m, _ := f.Host("mail"); m.Address != "10.1.1.1" {
				t.Errorf("%s: mail at %q", c.name, m.Address)
			}
		}
		again, err := borrow.Write(f)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := fleet.Read(again, "staunch.yaml"); err != nil || names(back.Hosts) != c.hosts {
			t.Errorf("%s: written and read again: %v\n%s", c.name, err, again)
		}
	}
}

func TestIncludedSSHConfiguration(t *testing.T) {
	files := borrow.Files{
		Glob: func(pattern string) ([]string, error) { return []string{pattern}, nil },
		Read: func(name string) ([]byte, error) {
			if name == "/home/a/.ssh/work" {
				return []byte("Host web7\n"), nil
			}
			return nil, errors.New("unexpected " + name)
		},
	}
	f, err := borrow.SSHConfig([]byte("Include work\nHost web8\n"), "/home/a/.ssh/config", files)
	if err != nil || names(f.Hosts) != "web7 web8" {
		t.Errorf("%q, %v", names(f.Hosts), err)
	}
}

// TestTheKindIsToldByTheContent: text of one kind that is taken for another must never look like an empty fleet.
func TestTheKindIsToldByTheContent(t *testing.T) {
	for _, c := range []struct{ name, text, hosts, says string }{
		{"fleet.yaml", "hosts:\n  web1: {ring: canary}\n", "web1", ""},
		{"fleet.yaml", "hosts:\n  web1: {lable: [a]}\n", "", "fleet.yaml:2:10: unknown key \"lable\""},
		{"fleet.yaml", "hsots:\n  web1: {}\n", "", "unknown key \"hsots\""},
		{"fleet.yaml", "hosts: [a, b]\n", "", "1:8: hosts: expected a mapping"},
		{"fleet.yaml", "- web1\n", "", "expected a mapping"},
		{"fleet.yaml", "hosts: {}\nnotify: [/bin/page]\n", "", ""},
		{"-", "hosts:\n  web1: {ring: canary}\n", "web1", ""},
		{"fleet.json", `{"hosts": {"web1": {"ring": "canary"}}}`, "web1", ""},
		{"inv.json", `{"web": ["web1", "web2"], "db": {"hosts": ["db1"], "vars": {"ansible_user": "ops"}}}`, "db1 web1 web2", ""},
		{"inv.yaml", "hosts:\n  hosts:\n    web1:\n", "web1", ""}, // a group that is called so
		{"inv.yaml", "web:\n  hosts:\n    web1: &x {a: 1}\n    web2: *x\n", "", "aliases"},
		{"inv.yaml", "web:\n  hosts: [web1]\n", "", "inv.yaml:2:10: not an Ansible inventory"},
		{"inv.yaml", "web:\n  vars: {a: b}\n", "", "names no host"},
		{"inv", "[web]\n", "", "names no host"},
		{"names.txt", "\ufeffweb1\n", "web1", ""},
		{"names.txt", "# nobody\n", "", "names no host"},
		{"config", "Host *\n  User x\n", "", "names no host"},
		{"inv", "[web]\nweb[1:7:3]\n", "web1 web4 web7", ""},
		{"inv", "[web]\nweb[1:7:0]\n", "", "cannot be read"},
		{"inv.yaml", "all:\n" + strings.Repeat("[", 100_000), "", "nested too deeply"},
	} {
		f, err := borrow.Read([]byte(c.text), c.name, borrow.Files{})
		switch {
		case c.says == "" && err != nil, c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%.80q as %s: %v, want %q", c.text, c.name, err, c.says)
		case err == nil && names(f.Hosts) != c.hosts:
			t.Errorf("%.80q as %s: hosts %q, want %q", c.text, c.name, names(f.Hosts), c.hosts)
		}
	}
}

func TestFilesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	if _, err := borrow.File(dir); !fault.Is(err, fault.Usage) || !strings.Contains(fault.HintOf(err), "ansible-inventory -i "+dir+" --list") {
		t.Errorf("a directory: %v", err)
	}
	if _, err := borrow.File(filepath.Join(dir, "gone")); !fault.Is(err, fault.NotFound) {
		t.Errorf("no file: %v", err)
	}
	endless, err := os.Open("/dev/zero")
	if err != nil {
		t.Fatal(err)
	}
	defer endless.Close()
	if _, err := borrow.Stream(endless, "zero"); !fault.Is(err, fault.Full) {
		t.Errorf("an endless file: %v", err)
	}
}

func FuzzBorrow(f *testing.F) {
	f.Add([]byte("[a]\nb c=d\n"), "hosts")
	f.Add([]byte("all:\n  hosts:\n    a:\n"), "x.yml")
	f.Add([]byte(`{"a":{"hosts":["b"]}}`), "l")
	f.Add([]byte("Host a b\n"), "config")
	f.Fuzz(func(t *testing.T, text []byte, name string) {
		got, err := borrow.Read(text, name, borrow.Files{})
		if err == nil && got == nil {
			t.Error("neither a fleet nor an error")
		}
	})
}
