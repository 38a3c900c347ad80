package acme_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"staunch/mend/cert/acme"
	"staunch/testbed/pebble"
	"staunch/testbed/real"

	"github.com/miekg/dns"
)

const tsigSecret = "c3RhdW5jaC10ZXN0LXNlY3JldC1vZi0zMi1ieXRlcyE="

// bind starts a real name server with one zone that takes signed updates; it also is the CA's resolver.
func bind(t *testing.T) string {
	t.Helper()
	named := real.Program(t, "named")
	dir := t.TempDir()
	port := freePort(t)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("zone", "$TTL 60\n@ SOA ns admin 1 3600 600 86400 1\n@ NS ns\nns A 127.0.0.1\n* A 127.0.0.1\n")
	write("named.conf", fmt.Sprintf(`options { directory %[1]q; listen-on port %[2]d { 127.0.0.1; }; listen-on-v6 { none; }; recursion no; pid-file none; session-keyfile none; dnssec-validation no; };
controls { };
key "update." { algorithm hmac-sha256; secret %[3]q; };
zone "example" { type primary; file "zone"; allow-update { key "update."; }; };
`, dir, port, tsigSecret))
	cmd := exec.Command(named, "-f", "-c", filepath.Join(dir, "named.conf"))
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait(); log.Close() })
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	question := new(dns.Msg)
	question.SetQuestion("example.", dns.TypeSOA)
	// listening is not enough: until the zone is loaded, an update is answered with a failure
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(30 * time.Millisecond) {
		in, err := dns.Exchange(question, addr)
		if err == nil && in.Rcode == dns.RcodeSuccess && len(in.Answer) > 0 {
			return addr
		}
		if time.Now().After(end) {
			text, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Fatalf("named does not come up: %v %s", err, text)
		}
	}
}

func TestDNSProofByDynamicUpdate(t *testing.T) {
	server := bind(t)
	d := open(t, pebble.Options{Resolver: server})
	update := acme.DNSUpdate{Server: server, Zone: "example", Key: "update", Secret: tsigSecret}
	d.Solvers = map[string]acme.Solver{"dns-01": update}
	d.obtain(t, newKey(t), nil, "*.shop.example", "shop.example")
	update.Secret = "d3Jvbmc="
	d.Solvers["dns-01"] = update
	o, err := acme.NewOrder(request(t, newKey(t), "other.example"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Run(t.Context(), o, func(acme.Order) error { return nil }); err == nil {
		t.Error("an update with a wrong key was taken")
	}
}

func TestProofInTheHandshake(t *testing.T) {
	port := freePort(t)
	d := open(t, pebble.Options{TLSPort: port})
	alpn, err := acme.ListenALPN(fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer alpn.Close()
	d.Solvers = map[string]acme.Solver{"tls-alpn-01": alpn}
	d.obtain(t, newKey(t), nil, "shop.example")
}

func TestProofByAProgramOfTheTeam(t *testing.T) {
	real.Slow(t)
	dir := t.TempDir()
	hook := filepath.Join(dir, "hook")
	if err := os.WriteFile(hook, []byte("#!/bin/sh\necho \"$@\" >>"+filepath.Join(dir, "calls")+"\n[ \"$1\" = cleanup ] || exit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	d := open(t, pebble.Options{})
	d.Solvers = map[string]acme.Solver{"dns-01": acme.Hook{Program: hook}}
	o, err := acme.NewOrder(request(t, newKey(t), "shop.example"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = d.Run(t.Context(), o, func(acme.Order) error { return nil }); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("a hook that fails: %v", err)
	}
	calls, err := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil || !strings.Contains(string(calls), "present dns-01 shop.example _acme-challenge.shop.example ") || !strings.Contains(string(calls), "cleanup dns-01 shop.example") {
		t.Errorf("calls: %s %v", calls, err)
	}
}

// TestProofOverHTTPByAProgram: a program puts the proof where a web server of the team's own serves it.
func TestProofOverHTTPByAProgram(t *testing.T) {
	python := real.Program(t, "python3")
	dir := t.TempDir()
	hook := filepath.Join(dir, "hook")
	if err := os.WriteFile(hook, []byte("#!/bin/sh -e\n[ \"$2\" = http-01 ]\nat="+dir+"/web$4\nmkdir -p \"${at%/*}\"\nif [ \"$1\" = present ]; then printf %s \"$5\" >\"$at\"; else rm \"$at\"; fi\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	if err := os.Mkdir(filepath.Join(dir, "web"), 0o700); err != nil {
		t.Fatal(err)
	}
	web := exec.Command(python, "-m", "http.server", "-b", "127.0.0.1", "-d", filepath.Join(dir, "web"), fmt.Sprint(port))
	if err := web.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = web.Process.Kill(); _ = web.Wait() })
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(30 * time.Millisecond) {
		if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			c.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatal("the web server does not come up")
		}
	}
	d := openAt(t, pebble.Options{HTTPPort: port}, acme.Hook{Program: hook})
	d.obtain(t, newKey(t), nil, "shop.example")
	if left, err := filepath.Glob(filepath.Join(dir, "web/.well-known/acme-challenge/*")); err != nil || len(left) > 0 {
		t.Errorf("the proof was left behind: %v, %v", left, err)
	}
}

// challenges starts pebble's own server of challenge answers: a name server that is told by HTTP what to answer.
func challenges(t *testing.T) (dnsAddr, manage string) {
	t.Helper()
	real.Slow(t)
	program := real.Build(t, "github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv")
	dnsAddr, manage = fmt.Sprintf("127.0.0.1:%d", freePort(t)), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	cmd := exec.Command(program, "-dnsserver", dnsAddr, "-management", manage, "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "", "-defaultIPv6", "")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	question := new(dns.Msg)
	question.SetQuestion("up.example.", dns.TypeA)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(30 * time.Millisecond) {
		_, err := dns.Exchange(question, dnsAddr)
		if err == nil {
			return dnsAddr, manage
		}
		if time.Now().After(end) {
			t.Fatalf("the server of challenges does not come up: %v", err)
		}
	}
}

const txtHook = `#!/usr/bin/python3
import json, sys, urllib.request
verb, kind, name, record, value = sys.argv[1:6]
url = "http://MANAGE/" + ("set-txt" if verb == "present" else "clear-txt")
urllib.request.urlopen(url, json.dumps({"host": record + ".", "value": value}).encode(), 10)
`

// TestProofInDNSByAProgram: a program of the team's own puts the record where the CA looks for it, for a wildcard as well.
func TestProofInDNSByAProgram(t *testing.T) {
	real.Program(t, "python3")
	resolver, manage := challenges(t)
	hook := filepath.Join(t.TempDir(), "hook")
	if err := os.WriteFile(hook, []byte(strings.ReplaceAll(txtHook, "MANAGE", manage)), 0o700); err != nil {
		t.Fatal(err)
	}
	d := open(t, pebble.Options{Resolver: resolver})
	d.Solvers = map[string]acme.Solver{"dns-01": acme.Hook{Program: hook}}
	_, leaf := d.obtain(t, newKey(t), nil, "shop.example", "*.shop.example")
	if len(leaf.DNSNames) != 2 {
		t.Errorf("names: %v", leaf.DNSNames)
	}
	question := new(dns.Msg)
	question.SetQuestion("_acme-challenge.shop.example.", dns.TypeTXT)
	if left, err := dns.Exchange(question, resolver); err != nil || len(left.Answer) > 0 {
		t.Errorf("the proof was left behind: %v, %v", left, err)
	}
}
