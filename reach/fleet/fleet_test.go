package fleet_test

import (
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"staunch/fault"
	"staunch/reach/fleet"
)

var update = flag.Bool("update", false, "write docs/staunch.schema.json anew")

const shop = `
rings:
  canary: {width: 1, soak: 10m}
  production: {width: 25%, quorum: 2}
hosts:
  web[01-03]: {labels: [web], address: "{name}.example.org"}
  web04: {ring: canary, labels: {web: null, room: b}}
  db[a-b]:
    labels: [db]
    user: admin
  gate: {system: openbsd, via: none, restart_hook: kick, restart_on: web01}
services:
  shop:
    on: web
    units: [nginx.service]
    restart: reload
    health: {url: "http://{host}/", within: 5s}
    max_down: 50%
    holds: [orders, addresses]
    owner: shop team
    public: true
  database: {on: db, restart: "hook:failover", replica: true}
endpoints:
  shop.example.org: {service: shop}
  mail: {addresses: ["192.0.2.1:25"], starttls: smtp, internal: true}
`

func read(t *testing.T, text string) *fleet.Fleet {
	t.Helper()
	f, err := fleet.Read([]byte(text), "staunch.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func names(hosts []fleet.Host) string {
	var out []string
	for _, h := range hosts {
		out = append(out, h.Name)
	}
	return strings.Join(out, " ")
}

func TestReadsWhatTheTeamWrote(t *testing.T) {
	f := read(t, shop)
	if got := names(f.Hosts); got != "web01 web02 web03 web04 dba dbb gate" {
		t.Errorf("hosts: %s", got)
	}
	if h, _ := f.Host("web02"); h.Address != "web02.example.org" || h.Ring != "production" {
		t.Errorf("web02: %+v", h)
	}
	if h, _ := f.Host("gate"); h.NotCovered() == "" {
		t.Error("an OpenBSD host counts as covered")
	}
	if h, _ := f.Host("gate"); h.OnlyBy("") == nil || h.OnlyBy("kick") == nil || !strings.Contains(fault.HintOf(h.OnlyBy("")), "staunch do hook kick HOST=gate --on web01") {
		t.Errorf("only by: %v", h.OnlyBy(""))
	}
	own := fleet.Host{Name: "a", System: "devuan", Hook: "kick"}
	if own.OnlyBy("kick") != nil || own.OnlyBy("other") == nil || own.OnlyBy("") == nil {
		t.Error("a host with a hook of its own takes that one, and nothing else")
	}
	ring, _ := f.Ring("canary")
	if ring.Soak != 10*time.Minute || ring.Order != 0 || ring.Quorum != 1 {
		t.Errorf("canary: %+v", ring)
	}
	s, err := f.Service("shop")
	if err != nil || strings.Join(s.Hosts, " ") != "web01 web02 web03 web04" || s.MaxDown.Of(4) != 2 || s.Restart.How != "reload" || s.Health.Within != 5*time.Second {
		t.Errorf("shop: %+v, %v", s, err)
	}
	if d, err := f.Service("database"); err != nil || d.Restart != (fleet.Restart{How: "hook", Hook: "failover"}) || !d.Replica {
		t.Errorf("database: %+v, %v", d, err)
	}
	if e := f.Endpoints[0]; e.SNI != "shop.example.org" || e.Addresses[0] != "shop.example.org:443" || !e.Public {
		t.Errorf("endpoint: %+v", e)
	}
	if e := f.Endpoints[1]; e.SNI != "" || e.Public || e.StartTLS != "smtp" {
		t.Errorf("endpoint: %+v", e)
	}
}

func TestMistakesAreNamedWithTheirPlace(t *testing.T) {
	for _, c := range []struct{ text, says, hint string }{
		{"rings:\n  canary: {wdith: 2}\n", "staunch.yaml:2:12: unknown key \"wdith\" in canary", "did you mean width?"},
		{"host: {}\n", "staunch.yaml:1:1: unknown key \"host\"", "did you mean hosts?"},
		{"hosts: [web1]\n", "expected a mapping", ""},
		{"hosts:\n  web1: {user: 12}\n", "staunch.yaml:2:16: user: expected text, found a number", "put it in quotes"},
		{"hosts:\n  web1: {port: \"22\"}\n", "port: expected a whole number", ""},
		{"hosts:\n  web1: {port: -1}\n", "port: expected a whole number", ""},
		{"hosts:\n  web1: {}\n  web[1-2]: {}\n", "staunch.yaml:3:3: host web1 stands twice", ""},
		{"hosts:\n  web1: {}\n  web1: {}\n", "3:3", ""},
		{"hosts:\n  -oProxyCommand=x: {}\n", "neither a host name nor a pattern", "letters, digits"},
		{"hosts:\n  web1: {address: \"-oX\"}\n", "neither a host name nor an IP address", ""},
		{"hosts:\n  web1: {ring: prod}\n", "no ring is called \"prod\"", "production"},
		{"hosts:\n  web[1-9999999]: {}\n", "host pattern", ""},
		{"rings:\n  a: {soak: 10}\n", "soak: expected a duration", "unit"},
		{"rings:\n  a: {width: 0}\n", "expected how many hosts", ""},
		{"services:\n  s: {on: nothing}\n", "nothing is called \"nothing\"", ""},
		{"hosts:\n  a: {}\nservices:\n  s: {on: a, restart: restrat}\n", "\"restrat\" is not one of", "did you mean restart?"},
		{"hosts:\n  a: {}\nservices:\n  s: {on: a, units: [nginx]}\n", "not a full unit name", "suffix"},
		{"hosts:\n  a: {}\nservices:\n  s: {on: a, health: {tcp: \"x:1\", unit: a.service}}\n", "exactly one of", ""},
		{"endpoints:\n  a.example: {pins: [abc]}\n", "is not a SHA-256", "64"},
		{"endpoints:\n  a.example: {starttls: xmpp-client}\n", "xmpp_domain", ""},
		{"hosts:\n  a: {restart_hook: kick}\n", "2:21: hosts a: restart_hook is for hosts that are not covered", "units"},
		{"hosts:\n  a: {restart_on: b}\n", "restart_on goes with restart_hook", ""},
		{"hosts:\n  a: {system: openbsd, restart_hook: kick, restart_on: web}\n  web1: {}\n", "restart_on names no host: \"web\"", "web1"},
		{"hosts:\n  a: {via: none, restart_hook: kick}\n", "its hook cannot run there", "restart_on"},
		{"hosts:\n  a: {via: none, restart_hook: kick, restart_on: b}\n  b: {system: hpux}\n", "not covered itself", ""},
		{"hosts: &x\n  a: {}\n", "anchors", "pattern"},
		{"hosts:\n\ta: {}\n", "staunch.yaml:2:1: found character '\\t'", "indented by spaces"},
		{"hosts:\n  web1: {port: 70000}\n", "staunch.yaml:2:16: port: 70000 is not from 1 to 65535", ""},
		{"hosts:\n  web1: {port: 0}\n", "2:16: port: 0 is not from 1", ""},
		{"hosts:\n  web1: {port: 022}\n", "2:16: port: expected a whole number from 0, found a number (022)", "plain digits"},
		{"hosts:\n  web1: {port: 22.5}\n", "found a number (22.5)", "plain digits"},
		{"hosts:\n  web1:\n    port:\n", "3:5: port has no value", "take the line out"},
		{"hosts:\n  web1: {labels: web}\n", "2:18: labels: expected a mapping", "[web, db]"},
		{"hosts: [web1]\n", "1:8: hosts: expected a mapping", "a key of its own"},
		{"hosts:\n  web1: {ring: prod}\n", "2:16: host web1: no ring", ""},
		{"hosts:\n  a: {via: [ssh]}\n", "2:12: via: expected text, found a list", "neither a list"},
		{"rings:\n  \"a b\": {}\n", "2:3: rings: \"a b\" is not a word", "letters"},
		{"rings:\n  a: {quorum: 0}\n", "2:15: quorum: 0 is not from 1", ""},
		{"rings:\n  a: {width: 101%}\n", "2:14: width: expected how many hosts", "25%"},
		{"alone: 5\n", "1:8: alone: expected a duration", "30s"},
		{"alone: +5m\n", "1:8: alone: \"+5m\" is not a duration", "30s"},
		{"hosts:\n  a: {}\nservices:\n  s: {on: a, drain: ../x}\n", "4:21: drain: \"../x\" is not the name of a hook", "hooks"},
		{"hosts:\n  a: {}\nservices:\n  s: {on: a, restart: \"hook:\"}\n", "is not one of restart, reload, reboot, person, hook:NAME", "hook:NAME"},
		{"hosts:\n  a: {}\nservices:\n  s: {on: a, health: {}}\n", "4:22: service s: health is exactly one of", ""},
		{"hosts:\n  a: {}\nservices:\n  s: {on: a, health: {url: \"ftp:x\"}}\n", "4:28: url: \"ftp:x\" is not an http", "{host}"},
		{"hosts:\n  a: {}\nservices:\n  s: {on: a, health: {tcp: x}}\n", "4:28: tcp: \"x\" is not host:port", ""},
		{"hosts:\n  a: {}\nservices:\n  s: {on: a, health: {url: \"http://x\", status: 999}}\n", "999 is not from 100 to 599", ""},
		{"hosts:\n  a: {}\nservices:\n  s: {on: a, units: [b.service, nginx]}\n", "4:33: units: \"nginx\" is not a full unit name", ""},
		{"hosts: " + strings.Repeat("[", 300_000), "nested too deeply", ""},
		{strings.Repeat("#", fleet.MaxBytes+1), "the limit is", ""},
		{"a: 1\n---\nb: 2\n", "2 documents", ""},
	} {
		_, err := fleet.Read([]byte(c.text), "staunch.yaml")
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.200q: says %v, want %q", c.text, err, c.says)
		}
		if c.hint != "" && !strings.Contains(fault.HintOf(err), c.hint) {
			t.Errorf("%.200q: hint %q, want %q", c.text, fault.HintOf(err), c.hint)
		}
	}
}

func TestEmptyFileIsAnEmptyFleet(t *testing.T) {
	for _, text := range []string{"", "# nothing yet\n", "hosts:\n", "\ufeffhosts:\n"} {
		if f := read(t, text); len(f.Hosts) != 0 || len(f.Rings) != 3 {
			t.Errorf("%q: %+v", text, f)
		}
	}
}

func TestSelectors(t *testing.T) {
	f := read(t, shop)
	file := func(name string) ([]byte, error) {
		if name != "tonight" {
			return nil, errors.New("no such file")
		}
		return []byte("# called in\nweb01\ndb[a-b]\n"), nil
	}
	for _, c := range []struct{ text, want string }{
		{"web", "web01 web02 web03 web04"},
		{"web & !web04", "web01 web02 web03"},
		{"ring=canary", "web04"},
		{"web[01-02], db", "web01 web02 dba dbb"},
		{"web0*", "web01 web02 web03 web04"},
		{"service=database | gate", "dba dbb gate"},
		{"!(web | db)", "gate"},
		{"room=b", "web04"},
		{"label=db & name=dba", "dba"},
		{"@tonight & !db", "web01"},
		{"all & !all", ""},
		{"\"web01\"", "web01"},
		{"!!gate", "gate"},
	} {
		hosts, err := f.Select(c.text, file)
		if err != nil || names(hosts) != c.want {
			t.Errorf("%q: %q, %v; want %q", c.text, names(hosts), err, c.want)
		}
	}
}

func TestSelectorMistakes(t *testing.T) {
	f := read(t, "hosts:\n  web: {labels: [x]}\n  web2: {labels: [web]}\n")
	for _, c := range []struct{ text, says, hint string }{
		{"web", "ambiguous", "label=web"},
		{"wbe2", "nothing is called", "did you mean web2?"},
		{"ring=canary2", "no host has ring=canary2", "ring=canary"},
		{"web2 &", "ends too early", "as in"},
		{"(web2", "ends too early", ""},
		{"web2)", "unexpected \")\" (character 5)\n  web2)\n      ^", ""},
		{"web2 & ", "ends too early (character 8)\n  web2 & \n         ^", ""},
		{"web2 web2", "unexpected \"web2\" (character 6)\n  web2 web2\n       ^", ""},
		{"", "ends too early", ""},
		{"web2 | \"web2", "open quote (character 8)\n  web2 | \"web2\n         ^", ""},
		{"@gone", "cannot be named here", ""},
		{"web[2-3]", "only 1 of the 2", ""},
		{strings.Repeat("!", 5000) + "web2", "too deeply", ""},
	} {
		_, err := f.Select(c.text, nil)
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(fault.HintOf(err), c.hint) {
			t.Errorf("%.20q: %v, hint %q", c.text, err, fault.HintOf(err))
		}
	}
}

func TestSchemaIsPublished(t *testing.T) {
	const file = "../../docs/staunch.schema.json"
	want, err := fleet.Schema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != string(want) {
		t.Errorf("docs/staunch.schema.json is not what the code reads (%v); write it with: go test ./reach/fleet -run Schema -update", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(shop))
	f.Add([]byte("hosts: {a: {labels: {b: *c}}}"))
	f.Add([]byte("? {}\n: !!x [1]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := fleet.Read(text, "f")
		if err == nil {
			for _, h := range got.Hosts {
				if strings.HasPrefix(h.Dial(), "-") {
					t.Errorf("%q could be taken for an option", h.Dial())
				}
			}
		}
	})
}

func FuzzSelect(f *testing.F) {
	for _, s := range []string{"web & !web04", "(a|b),c", "@x", "\"a b\"=c", "web[1-2,3]*"} {
		f.Add(s)
	}
	fl, err := fleet.Read([]byte(shop), "f")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		chosen, err := fl.Select(s, nil)
		if err != nil {
			return
		}
		rest, err := fl.Select("!("+s+")", nil)
		if err != nil || len(chosen)+len(rest) != len(fl.Hosts) {
			t.Errorf("%q takes %d of %d hosts, its opposite %d, %v", s, len(chosen), len(fl.Hosts), len(rest), err)
		}
	})
}
