package cli_test

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"staunch/cli/desk"
	"staunch/see/probe"
)

// site is a web server with TLS on loopback, with the file of the authority that it needs and a count of its connections.
func site(t *testing.T) (address, ca string, opened *atomic.Int64) {
	t.Helper()
	opened = &atomic.Int64{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Strict-Transport-Security", "max-age=31536000")
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it says of each hello that it was not followed up
	server.StartTLS()
	t.Cleanup(server.Close)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return server.Listener.Addr().String(), ca, opened
}

func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A person looks at a good site, at one that is not there, and expects another key.
func TestProbeExitCodesSayWhatWasSeen(t *testing.T) {
	p := newPerson(t)
	address, ca, _ := site(t)
	dead := closedPort(t)
	out, _, code := p.types("probe", "--ca", ca, "--format", "json", address)
	var all []probe.Result
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != 1 || all[0].Certificate == nil {
		t.Fatalf("%v: %s", err, out)
	}
	if code != desk.ExitClean || all[0].Grade == nil || all[0].Grade.Letter != "A+" {
		t.Errorf("a good site: exit %d, %+v", code, all[0].Grade)
	}
	key := all[0].Certificate.SPKISHA256
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--ca", ca, address}, desk.ExitClean, "A+"},
		{[]string{"--quick", "--ca", ca, address}, desk.ExitClean, "<=A+"},
		{[]string{"--heartbleed", address}, desk.ExitClean, "no heartbeat"},
		{[]string{"--min-grade", "A", address}, desk.ExitFound, "self signed"},
		{[]string{"--expect-spki", strings.ToUpper(key), address}, desk.ExitClean, "key served"},
		{[]string{"--expect-spki", strings.Repeat("0", 64), address}, desk.ExitFound, "key different"},
		{[]string{"--expect-spki", key, address, dead}, desk.ExitIncomplete, "key unseen"},
		{[]string{"--ca", ca, address, dead}, desk.ExitIncomplete, "nothing listens there: connection refused"},
	} {
		out, errs, code := p.types(append([]string{"probe"}, c.args...)...)
		if code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("%q: exit %d, want %d and %q in:\n%s%s", c.args, code, c.code, c.says, out, errs)
		}
	}
}

// What cannot be meant is refused before anything is sent, with a hint.
func TestProbeRefusesWhatWasNotNamed(t *testing.T) {
	p := newPerson(t)
	for _, args := range [][]string{
		{},
		{"host:0"},
		{"evil\x1b[2J"},
		{"10.0.0.0/24:443"},
		{"--format", "xml", "a.example"},
		{"--quick", "--heartbleed", "a.example"},
		{"--min-grade", "Z", "a.example"},
		{"--starttls", "telnet", "a.example"},
		{"--expect-spki", "12", "a.example"},
		{"--at-once", "0", "a.example"},
		{"-f", "/no/such/file"},
		{"--ca", "/no/such/file", "a.example"},
		{"--heartbleed", "--expect-spki", strings.Repeat("0", 64), "a.example"},
	} {
		out, errs, code := p.types(append([]string{"probe"}, args...)...)
		if code != desk.ExitCannot || out != "" || !strings.HasPrefix(errs, "error: ") || strings.Contains(errs, "\x1b") {
			t.Errorf("%q: exit %d, %q, %q", args, code, out, errs)
		}
	}
}

// The formats that programs and people read: one array, one line each, a page that fetches nothing.
func TestProbeFormats(t *testing.T) {
	p := newPerson(t)
	address, ca, _ := site(t)
	list := filepath.Join(t.TempDir(), "targets")
	if err := os.WriteFile(list, []byte("# our sites\n"+address+" # the first\n\nlocalhost.invalid\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, _ := p.types("probe", "--ca", ca, "-f", list, "--format", "jsonl")
	if lines := strings.Split(strings.TrimSpace(out), "\n"); len(lines) != 2 || !json.Valid([]byte(lines[0])) || !json.Valid([]byte(lines[1])) {
		t.Errorf("jsonl:\n%s", out)
	}
	out, _, _ = p.types("probe", "--ca", ca, "-f", list, "--format", "json")
	var raw []map[string]any
	if err := json.Unmarshal([]byte(out), &raw); err != nil || len(raw) != 2 {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, field := range []string{"target", "address", "port", "sni", "heartbleed", "protocols", "groups", "certificate", "grade", "not_tested", "connections", "took_ms"} {
		if _, has := raw[0][field]; !has {
			t.Errorf("the contract's field %q is missing", field)
		}
	}
	out, _, _ = p.types("probe", "--ca", ca, "-f", list, "--format", "html")
	for _, bad := range []string{"<script", "<link", "src=", "@import", "url("} {
		if strings.Contains(out, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	if !strings.Contains(out, address) || !strings.Contains(out, "A&#43;") {
		t.Errorf("the page does not show the site:\n%s", out)
	}
	out, _, _ = p.types("probe", "--ca", ca, "-v", address)
	for _, want := range []string{"TLS_AES_128_GCM_SHA256", "X25519MLKEM768", "SPKI SHA-256", "31536000", "score"} {
		if !strings.Contains(out, want) {
			t.Errorf("-v does not show %q:\n%s", want, out)
		}
	}
}

// A stopped run goes on where it was: what was seen is not asked again, what could not be seen is, and other options are another question.
func TestProbeStateGoesOn(t *testing.T) {
	p := newPerson(t)
	address, _, opened := site(t)
	dead := closedPort(t)
	state := filepath.Join(t.TempDir(), "state")
	if out, errs, code := p.types("probe", "--heartbleed", "--state", state, address, dead); code != desk.ExitIncomplete {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	first := opened.Load()
	f, err := os.OpenFile(state, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"target":"cut off in the mid`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	out, errs, code := p.types("probe", "--heartbleed", "--state", state, "--format", "json", address, dead)
	var all []probe.Result
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != 2 || code != desk.ExitIncomplete {
		t.Fatalf("exit %d, %d results: %v %s", code, len(all), err, errs)
	}
	if opened.Load() != first {
		t.Error("what was seen was asked again")
	}
	if _, errs, code := p.types("probe", "--quick", "--state", state, address); code != desk.ExitCannot || !strings.Contains(errs, "other options") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if err := os.WriteFile(state, []byte("my notes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := p.types("probe", "--heartbleed", "--state", state, address); code != desk.ExitCannot || !strings.Contains(errs, "not a state file") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if b, err := os.ReadFile(state); err != nil || string(b) != "my notes\n" {
		t.Errorf("a file that is not ours was changed: %q %v", b, err)
	}
}
