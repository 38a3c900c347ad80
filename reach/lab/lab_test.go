package lab_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/host"
	"staunch/reach/lab"
	"staunch/see/scan"
)

func example(t *testing.T, troubles ...lab.Trouble) *lab.Lab {
	t.Helper()
	_, world := lab.Example(4)
	world.Troubles = troubles
	l, err := lab.New(world)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func connect(t *testing.T, l *lab.Lab, name string) host.Host {
	t.Helper()
	h, err := l.Host(name)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func look(t *testing.T, h host.Host) *scan.Report {
	t.Helper()
	a, err := h.Look(t.Context(), host.Question{Scan: &scan.Question{}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a.Scan
}

func order(t *testing.T, id string, kind act.Kind, with act.Params) act.Order {
	t.Helper()
	a, err := act.New(kind, with)
	if err != nil {
		t.Fatal(err)
	}
	return act.Order{ID: id, Act: a}
}

func do(t *testing.T, h host.Host, o act.Order) act.Outcome {
	t.Helper()
	out, err := h.Do(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func upgrade(t *testing.T, id string) act.Order {
	return order(t, id, act.Upgrade, &act.UpgradeWith{Packages: []act.Package{{Name: "libtally1", Version: lab.Fixed}}})
}

// holding counts the processes that map the library in this state.
func holding(r *scan.Report, state scan.State) int {
	n := 0
	for _, p := range r.Processes {
		for _, m := range p.Objects {
			if m.Path == lab.Library && m.State == state {
				n++
			}
		}
	}
	return n
}

func TestUpgradeIsStaleUntilTheUnitRestarts(t *testing.T) {
	h := connect(t, example(t), "web1")
	if n := holding(look(t, h), scan.Same); n != 4 {
		t.Fatalf("before: %d processes with the library, want 4", n)
	}
	if out := do(t, h, upgrade(t, "1")); out.Status != act.Done || !out.CanUndo {
		t.Fatalf("upgrade: %+v", out)
	}
	report := look(t, h)
	if n := holding(report, scan.Replaced); n != 4 {
		t.Fatalf("after the upgrade %d processes are on the replaced library, want 4", n)
	}
	old := report.Processes[0].Objects[1].ID
	restart := order(t, "2", act.Restart, &act.UnitsWith{Units: []string{"proxyd.service", "shopd.service"}, Gone: []string{old}})
	if out := do(t, h, restart); out.Status != act.Done {
		t.Fatalf("restart: %+v", out)
	}
	if n := holding(look(t, h), scan.Same); n != 4 {
		t.Errorf("after the restart %d processes are on what lies on disk, want 4", n)
	}
	if out := do(t, h, upgrade(t, "3")); out.Status != act.Already {
		t.Errorf("a second upgrade says %+v", out)
	}
	undo := upgrade(t, "4")
	undo.Undo, undo.Of = true, "1"
	if out := do(t, h, undo); out.Status != act.Undone {
		t.Errorf("undo: %+v", out)
	}
	if n := holding(look(t, h), scan.Replaced); n != 4 {
		t.Errorf("after the undo %d processes run what no longer lies on disk, want 4", n)
	}
}

func TestReloadKeepsAnOldWorker(t *testing.T) {
	h := connect(t, example(t), "web2")
	do(t, h, upgrade(t, "1"))
	do(t, h, order(t, "2", act.Reload, &act.UnitsWith{Units: []string{"proxyd.service"}}))
	report := look(t, h)
	var old scan.Process
	for _, p := range report.Processes {
		if p.Exe == lab.Proxy && p.Objects[1].State == scan.Replaced {
			old = p
		}
	}
	if old.PID == 0 {
		t.Fatal("no old worker stayed")
	}
	out := do(t, h, order(t, "3", act.Signal, &act.SignalWith{PID: old.PID, Start: old.Start, Signal: "TERM", Gone: true}))
	if out.Status != act.Done {
		t.Fatalf("signal: %+v", out)
	}
	if n := holding(look(t, h), scan.Replaced); n != 1 {
		t.Errorf("%d processes are on the old library, want only shopd's", n)
	}
}

func TestOrderIsDoneOnceThoughTheAnswerWasLost(t *testing.T) {
	l := example(t, lab.Trouble{Host: "web1", On: "do", Way: lab.DiesLate, Times: 1})
	h := connect(t, l, "web1")
	restart := order(t, "7", act.Restart, &act.UnitsWith{Units: []string{"shopd.service"}})
	if _, err := h.Do(t.Context(), restart, nil); !fault.Is(err, fault.Unsure) {
		t.Fatalf("a lost answer must be unsure, got %v", err)
	}
	if out := do(t, h, restart); out.Status != act.Done || !out.Repeat {
		t.Errorf("asked again the host says %+v", out)
	}
	downs := 0
	for _, e := range l.Events() {
		if e.What == "down shopd.service" {
			downs++
		}
	}
	if downs != 1 {
		t.Errorf("the unit was restarted %d times", downs)
	}
}

func TestHalfDoneActIsUnknownAndThenFinished(t *testing.T) {
	l := example(t, lab.Trouble{Host: "web1", On: "do restart", Way: lab.DiesMid, Times: 1})
	h := connect(t, l, "web1")
	before := look(t, h)
	restart := order(t, "7", act.Restart, &act.UnitsWith{Units: []string{"proxyd.service", "shopd.service"}})
	if _, err := h.Do(t.Context(), restart, nil); !fault.Is(err, fault.Unsure) {
		t.Fatalf("want unsure, got %v", err)
	}
	if out := do(t, h, restart); out.Status != act.Done || out.Repeat {
		t.Errorf("finished: %+v", out)
	}
	after := look(t, h)
	for _, p := range after.Processes {
		for _, q := range before.Processes {
			if p.PID == q.PID && p.Unit != "ssh.service" {
				t.Errorf("process %d of %s was never restarted", p.PID, p.Unit)
			}
		}
	}
}

func TestTroubles(t *testing.T) {
	health := host.Question{Health: &host.HealthQuestion{}}
	for _, c := range []struct {
		way  lab.Way
		kind fault.Kind
	}{{lab.Refuses, fault.Unreachable}, {lab.OldProto, fault.Unsupported}, {lab.DiesEarly, fault.Unreachable}, {lab.Denies, fault.Denied}} {
		h := connect(t, example(t, lab.Trouble{Way: c.way, Times: 1}), "db1")
		if _, err := h.Look(t.Context(), health, nil); !fault.Is(err, c.kind) {
			t.Errorf("%s: %v, want %s", c.way, err, c.kind)
		}
		if _, err := h.Look(t.Context(), health, nil); err != nil {
			t.Errorf("%s happens once only, but then: %v", c.way, err)
		}
	}
}

func TestSilentHostCostsThePatienceOfItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := connect(t, example(t, lab.Trouble{Host: "db1", Way: lab.Silent}, lab.Trouble{Host: "db2", Way: lab.Slow, Delay: time.Minute}), "db1")
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := h.Look(ctx, host.Question{Health: &host.HealthQuestion{}}, nil); !fault.Is(err, fault.Timeout) {
			t.Errorf("silent: %v", err)
		}
	})
}

func TestSkewedClockAndBlindScan(t *testing.T) {
	l := example(t, lab.Trouble{Host: "web3", Way: lab.Skewed, Delay: -10 * time.Minute}, lab.Trouble{Host: "web3", On: "look scan", Way: lab.Blind})
	now := time.Date(2026, 4, 7, 23, 0, 0, 0, time.UTC)
	l.Clock(func() time.Time { return now })
	r := look(t, connect(t, l, "web3"))
	if !r.Taken.Equal(now.Add(-10 * time.Minute)) {
		t.Errorf("taken at %v", r.Taken)
	}
	if r.Sight.ProcessesSeen+len(r.Unseen) != r.Sight.ProcessesKnown || len(r.Unseen) == 0 {
		t.Errorf("sight: %+v, unseen %d", r.Sight, len(r.Unseen))
	}
}

func TestReadonlyHostRefuses(t *testing.T) {
	_, world := lab.Example(1)
	world.Machines[0].Readonly = true
	l, err := lab.New(world)
	if err != nil {
		t.Fatal(err)
	}
	if out := do(t, connect(t, l, "web1"), upgrade(t, "1")); out.Status != act.Refused {
		t.Errorf("%+v", out)
	}
}
