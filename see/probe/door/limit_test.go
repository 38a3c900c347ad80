package door

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Forty connections to one address take four seconds at ten a second, and never more than four are open.
func TestLimitsOfOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimits(0, 0, 0)
		began := time.Now()
		var open, most atomic.Int64
		var wait sync.WaitGroup
		for range 40 {
			wait.Go(func() {
				leave, err := l.enter(t.Context(), netip.MustParseAddr("192.0.2.1"))
				if err != nil {
					t.Error(err)
					return
				}
				n := open.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				time.Sleep(time.Second)
				open.Add(-1)
				leave()
			})
		}
		wait.Wait()
		if most.Load() > 4 {
			t.Errorf("%d were open at once", most.Load())
		}
		if took := time.Since(began); took < 10*time.Second {
			t.Errorf("40 connections of a second each, 4 at once, took %s", took)
		}
	})
}

func TestRateOfOneAddressAndOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimits(0, 0, 20)
		began := time.Now()
		var wait sync.WaitGroup
		for i := range 100 {
			wait.Go(func() {
				leave, err := l.enter(t.Context(), netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
				if err != nil {
					t.Error(err)
					return
				}
				leave()
			})
		}
		wait.Wait()
		if took := time.Since(began); took < 4900*time.Millisecond || took > 5100*time.Millisecond {
			t.Errorf("100 addresses at 20 a second took %s", took)
		}
		began = time.Now()
		for range 21 {
			leave, err := l.enter(t.Context(), netip.MustParseAddr("192.0.2.200"))
			if err != nil {
				t.Fatal(err)
			}
			leave()
		}
		if took := time.Since(began); took < 1900*time.Millisecond {
			t.Errorf("21 connections to one address took %s", took)
		}
	})
}

func TestLoopbackIsNotLimitedAndWaitingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimits(0, 0, 0)
		began := time.Now()
		for range 100 {
			if _, err := l.enter(t.Context(), netip.MustParseAddr("127.0.0.2")); err != nil {
				t.Fatal(err)
			}
			if _, err := l.enter(t.Context(), netip.IPv6Loopback()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("loopback was held up for %s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for range 5 {
			if _, err := l.enter(ctx, netip.MustParseAddr("192.0.2.1")); err != nil {
				if time.Since(began) != time.Second {
					t.Errorf("it gave up after %s", time.Since(began))
				}
				return
			}
		}
		t.Error("it went on after its time was over")
	})
}
