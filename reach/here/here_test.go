package here_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/act/bounds"
	"staunch/reach/act/carry"
	"staunch/reach/here"
	"staunch/reach/host"
	"staunch/reach/host/promise"
)

func machine(t *testing.T) *here.Machine {
	t.Helper()
	dir := t.TempDir()
	places := bounds.Places{
		Root: dir, Policy: filepath.Join(dir, "policy.json"), Signers: filepath.Join(dir, "allowed_signers"), Hooks: filepath.Join(dir, "hooks"),
		State: filepath.Join(dir, "state"), Payloads: filepath.Join(dir, "payloads"), Owner: uint32(os.Getuid()),
	}
	m := &here.Machine{Called: "here", Engine: &carry.Engine{Places: places}}
	m.Scan.Version = "test"
	return m
}

func TestThisMachineKeepsTheHostsPromises(t *testing.T) {
	promise.Host(t, func(t *testing.T) host.Host { return machine(t) })
}

func TestHealthTriesServicesAsClientsDo(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(web.Close)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	a, err := machine(t).Look(t.Context(), host.Question{Health: &host.HealthQuestion{Tries: []host.Try{
		{TCP: web.Listener.Addr().String()}, {TCP: gone}, {URL: web.URL}, {URL: web.URL + "/broken"}, {URL: web.URL + "/broken", Status: 503}, {},
	}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, false, true, false, true, false} {
		if got := a.Health.Tries[i]; got.OK != want || got.Says == "" {
			t.Errorf("try %d: %+v, want %v", i, got, want)
		}
	}
	if a.Health.DiskFree["/"] <= 0 || a.Health.ClockMS == 0 {
		t.Errorf("%+v", a.Health)
	}
}

func TestPayloadIsKeptWholeOrNotAtAll(t *testing.T) {
	l := machine(t)
	const sum = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" // of "hello"
	if err := l.Put(t.Context(), sum, strings.NewReader("hellO")); !fault.Is(err, fault.Corrupt) {
		t.Errorf("a forged payload: %v", err)
	}
	if err := l.Put(t.Context(), "../../etc/passwd", strings.NewReader("x")); !fault.Is(err, fault.Usage) {
		t.Errorf("a strange name: %v", err)
	}
	if err := l.Put(t.Context(), sum, strings.NewReader("hello")); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(l.Engine.Places.Payloads)
	if err != nil || len(entries) != 1 || entries[0].Name() != sum {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestAMachineThatIsOnlyLookedAtTakesNothing(t *testing.T) {
	m := machine(t)
	m.LookOnly = true
	order, err := act.New(act.Stop, &act.UnitsWith{Units: []string{"st-nobody-has-this.service"}})
	if err != nil {
		t.Fatal(err)
	}
	o := act.Order{ID: "look/1", Host: "here", Act: order}
	if _, err := m.Do(t.Context(), o, nil); !fault.Is(err, fault.Unsupported) {
		t.Errorf("an order: %v", err)
	}
	if _, err := m.Look(t.Context(), host.Question{Check: &o}, nil); !fault.Is(err, fault.Unsupported) {
		t.Errorf("a preview: %v", err)
	}
	if err := m.Put(t.Context(), strings.Repeat("a", 64), strings.NewReader("x")); !fault.Is(err, fault.Unsupported) {
		t.Errorf("a payload: %v", err)
	}
	if _, err := m.Look(t.Context(), host.Question{Health: &host.HealthQuestion{}}, nil); err != nil {
		t.Errorf("a question: %v", err)
	}
}
