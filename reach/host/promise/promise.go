// Package promise is what every Host must keep, as a suite: in this process, over a pipe, over ssh, by an agent.
package promise

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/host"
	"staunch/see/scan"
)

// Host holds a kind of host to its promises. Each call of open gives a new connection to the same, well machine.
func Host(t *testing.T, open func(t *testing.T) host.Host) {
	for name, test := range map[string]func(*testing.T, host.Host){
		"answers a scan with what runs":              scans,
		"answers health":                             health,
		"refuses a question that is not one":         oneQuestion,
		"refuses an order that is not on the list":   unknownAct,
		"refuses an order for another host":          anotherHost,
		"tells progress before the answer only":      progress,
		"ends when its caller gives up":              givesUp,
		"answers several questions at once":          together,
		"cannot be asked after it was closed":        closed,
		"checks an order without carrying it out":    checks,
		"says that it does not know a unit by state": unknownUnit,
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			t.Cleanup(func() {
				if err := h.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			test(t, h)
		})
	}
}

func look(t *testing.T, h host.Host, q host.Question) host.Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	a, err := h.Look(ctx, q, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func quick() *scan.Question { return &scan.Question{NoDormant: true} }

func scans(t *testing.T, h host.Host) {
	a := look(t, h, host.Question{Scan: quick()})
	if a.Kind() != "scan" || len(a.Scan.Processes) == 0 || len(a.Scan.Objects) == 0 || a.Scan.Sight.ProcessesKnown < len(a.Scan.Processes) {
		t.Errorf("answered %q with %d processes", a.Kind(), len(a.Scan.Processes))
	}
}

func health(t *testing.T, h host.Host) {
	a := look(t, h, host.Question{Health: &host.HealthQuestion{Tries: []host.Try{{TCP: "127.0.0.1:1", WithinMS: 2000}}}})
	if a.Health.ClockMS == 0 || a.Health.Version == "" || len(a.Health.Tries) != 1 || a.Health.Tries[0].OK {
		t.Errorf("%+v", a.Health)
	}
}

func unknownUnit(t *testing.T, h host.Host) {
	a := look(t, h, host.Question{Health: &host.HealthQuestion{Units: []string{"st-nobody-has-this.service"}}})
	if a.Health.Systemd && (len(a.Health.Units) != 1 || a.Health.Units[0].Active == "active") {
		t.Errorf("%+v", a.Health.Units)
	}
}

func oneQuestion(t *testing.T, h host.Host) {
	for _, q := range []host.Question{{}, {Scan: quick(), Health: &host.HealthQuestion{}}} {
		if _, err := h.Look(t.Context(), q, nil); !fault.Is(err, fault.Usage) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

func unknownAct(t *testing.T, h host.Host) {
	out, err := h.Do(t.Context(), act.Order{ID: "promise/unknown", Host: h.Name(), Act: act.Act{Kind: "shell", With: []byte(`{}`)}}, nil)
	if err == nil && out.Status != act.Refused {
		t.Errorf("%+v", out)
	}
}

func anotherHost(t *testing.T, h host.Host) {
	order, err := act.New(act.Stop, &act.UnitsWith{Units: []string{"st-nobody-has-this.service"}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := h.Do(t.Context(), act.Order{ID: "promise/another", Host: "not-" + h.Name(), Act: order}, nil)
	if err == nil && out.Status != act.Refused {
		t.Errorf("%+v", out)
	}
}

func checks(t *testing.T, h host.Host) {
	order, err := act.New(act.Stop, &act.UnitsWith{Units: []string{"st-nobody-has-this.service"}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := h.Look(t.Context(), host.Question{Check: &act.Order{ID: "promise/check", Host: h.Name(), Act: order}}, nil)
	if err == nil && (a.Kind() != "check" || len(a.Check.Says) == 0 && a.Check.Refused == "") {
		t.Errorf("%+v", a.Check)
	}
}

func progress(t *testing.T, h host.Host) {
	var mu sync.Mutex
	var said []string
	over := false
	_, err := h.Look(t.Context(), host.Question{Scan: quick()}, func(p host.Progress) {
		mu.Lock()
		defer mu.Unlock()
		if over {
			t.Error("progress after the answer")
		}
		said = append(said, p.Says)
	})
	mu.Lock()
	over = true
	mu.Unlock()
	if err != nil || len(said) == 0 || strings.Join(said, "") == "" {
		t.Errorf("progress %q, %v", said, err)
	}
}

func givesUp(t *testing.T, h host.Host) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Look(ctx, host.Question{Scan: quick()}, nil); !fault.Is(err, fault.Timeout) {
		t.Errorf("given up: %v", err)
	}
	if _, err := h.Look(t.Context(), host.Question{Health: &host.HealthQuestion{}}, nil); err != nil {
		t.Errorf("asked again: %v", err)
	}
}

func together(t *testing.T, h host.Host) {
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if _, err := h.Look(t.Context(), host.Question{Health: &host.HealthQuestion{}}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func closed(t *testing.T, h host.Host) {
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Look(t.Context(), host.Question{Health: &host.HealthQuestion{}}, nil); err == nil {
		t.Error("a closed host answers")
	}
}
