package keys_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"staunch/see/keys"
)

// nginx and postgres write their title over the environment that they were given: /proc does not show it any more, the unit's files do.
func TestNamesOfVariablesComeFromTheUnitToo(t *testing.T) {
	p := newProcess(t, "nginx", "nginx.service", []string{"nginx: master process"}, []string{"nginx: master process"})
	root := t.TempDir()
	p.put(filepath.Join(root, "lib/systemd/system/nginx.service"), "[Service]\nEnvironment=LANG=C \"SHOP_SESSION_SECRET=value-one two\" \\\n  EMPTY_TOKEN=\nEnvironmentFile=-/etc/default/nginx\n")
	p.put(filepath.Join(root, "etc/systemd/system/nginx.service.d/more.conf"), "[Service]\nLoadCredentialEncrypted=backup-key:/etc/credstore/backup\nEnvironmentFile=/etc/shop/*.env\n")
	p.put(filepath.Join(root, "etc/default/nginx"), "# DB_PASSWORD=value-comment\nDB_PASSWORD='value-three'\nDAEMON_ARGS=-q\n")
	p.put(filepath.Join(root, "lib/systemd/system/other.service"), "[Service]\nEnvironment=OTHER_TOKEN=value-four\n")
	f, err := keys.Look(t.Context(), keys.Question{}, keys.Env{Proc: p.proc, Host: "web1", Root: root})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range f.Secrets {
		got[s.Name] = string(s.Kind) + " " + s.Where + " " + s.Readers[0].Unit
	}
	want := map[string]string{
		"SHOP_SESSION_SECRET": "session environment nginx.service", "DB_PASSWORD": "password environment nginx.service", "backup-key": "secret credential nginx.service",
	}
	for name, says := range want {
		if got[name] != says {
			t.Errorf("%s is %q, want %q", name, got[name], says)
		}
	}
	if len(got) != len(want) {
		t.Errorf("found %v", got)
	}
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "value-") {
		t.Errorf("a value left the host: %s", text)
	}
	if !strings.Contains(string(text), "/etc/shop/*.env") {
		t.Error("nothing says that a file named by a pattern was not read")
	}
}

// TestATitleInPlaceOfArguments: redis shows its address where its arguments were. Its unit tells which configuration it reads, and options that
// name a key; without a unit nobody knows, and that is said.
func TestATitleInPlaceOfArguments(t *testing.T) {
	one, two := newPair(t, "one.example"), newPair(t, "two.example")
	for unit, start := range map[string]string{"redis-server@shop.service": "/usr/bin/redis-server /srv/redis-%i.conf --tls-cert-file /srv/two.pem --tls-key-file /srv/two.pem", "other.service": "/usr/bin/other"} {
		p := newProcess(t, "redis-server", unit, []string{"/usr/bin/redis-server 127.0.0.1:6379"}, nil)
		p.file("srv/redis-shop.conf", "tls-port 6380\ntls-cert-file /srv/one.pem\ntls-key-file /srv/one.pem\n")
		p.file("srv/one.pem", one.cert+one.key)
		p.file("srv/two.pem", two.cert+two.key)
		root := t.TempDir()
		file, _, _ := strings.Cut(unit, "shop")
		p.put(filepath.Join(root, "lib/systemd/system", strings.TrimSuffix(file, ".service")+".service"), "[Service]\nExecStart=-"+start+"\n")
		f, err := keys.Look(t.Context(), keys.Question{}, keys.Env{Proc: p.proc, Root: root})
		if err != nil {
			t.Fatal(err)
		}
		if unit == "other.service" {
			if len(f.Keys) != 0 || len(f.Unseen) != 1 || !strings.Contains(f.Unseen[0].Reason, "title") {
				t.Errorf("without its unit: %+v, unseen %+v", f.Keys, f.Unseen)
			}
			continue
		}
		for _, k := range []pair{one, two} {
			if got := find(t, f, k.spki); !got.Private || got.Readers[0].How != "configuration" {
				t.Errorf("%+v", got)
			}
		}
	}
}

func FuzzUnitFile(f *testing.F) {
	f.Add("[Service]\nEnvironment=A_TOKEN=x \"B SECRET=y\"\nEnvironmentFile=-/etc/x\nLoadCredential=a:b\n")
	f.Add("Environment=\"A_TOKEN=x\\\n")
	f.Fuzz(func(t *testing.T, text string) {
		p := newProcess(t, "nginx", "nginx.service", []string{"nginx"}, nil)
		root := t.TempDir()
		p.put(filepath.Join(root, "etc/systemd/system/nginx.service"), text)
		if _, err := keys.Look(t.Context(), keys.Question{}, keys.Env{Proc: p.proc, Root: root}); err != nil {
			t.Fatal(err)
		}
	})
}
