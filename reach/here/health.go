package here

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"staunch/reach/act/systemd"
	"staunch/reach/host"
)

// tryTime is how long one try may take unless it says otherwise.
const tryTime = 10 * time.Second

// disks are the directories whose room matters to acts.
func disks() []string { return []string{"/", "/var", "/var/cache", "/tmp", "/boot"} }

func (m *Machine) health(ctx context.Context, q host.HealthQuestion) host.Health {
	h := host.Health{Root: os.Geteuid() == 0, ClockMS: time.Now().UnixMilli(), Version: m.Scan.Version, DiskFree: map[string]int64{}}
	for _, dir := range disks() {
		var s syscall.Statfs_t
		if syscall.Statfs(dir, &s) == nil {
			h.DiskFree[dir] = int64(s.Bavail) * s.Bsize
			if s.Files > 0 && s.Ffree == 0 {
				h.Problems = append(h.Problems, "no inodes are left on "+dir)
			}
		}
	}
	m.units(ctx, q.Units, &h)
	for _, t := range q.Tries {
		h.Tries = append(h.Tries, try(ctx, t))
	}
	if m.Engine != nil && h.Root {
		left, err := m.Engine.Unfinished()
		if err != nil {
			h.Problems = append(h.Problems, "the journal of orders: "+err.Error())
		}
		h.Problems = append(h.Problems, left...)
	}
	return h
}

// units asks systemd. Where it does not answer, every unit's state is unknown, and that is a problem of its own.
func (m *Machine) units(ctx context.Context, names []string, h *host.Health) {
	manager, err := systemd.Open(ctx)
	if err != nil {
		h.Problems = append(h.Problems, err.Error())
		for _, name := range names {
			h.Units = append(h.Units, host.UnitHealth{Name: name, Active: "unknown"})
		}
		return
	}
	defer manager.Close()
	h.Systemd = true
	for _, name := range names {
		state, err := manager.State(ctx, name)
		if err != nil {
			h.Units = append(h.Units, host.UnitHealth{Name: name, Active: "unknown", Sub: err.Error()})
			continue
		}
		if state.Load == "not-found" {
			state.Sub = state.Load
		}
		h.Units = append(h.Units, host.UnitHealth{Name: name, Active: state.Active, Sub: state.Sub, MainPID: state.MainPID})
	}
}

// try asks a service the way its clients would.
func try(ctx context.Context, t host.Try) host.Tried {
	within := tryTime
	if t.WithinMS > 0 && t.WithinMS < time.Hour.Milliseconds() {
		within = time.Duration(t.WithinMS) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	switch {
	case t.URL != "" && t.TCP == "":
		return tryURL(ctx, t)
	case t.TCP != "" && t.URL == "":
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", t.TCP)
		if err != nil {
			return host.Tried{Try: t, Says: err.Error()}
		}
		if err := conn.Close(); err != nil {
			return host.Tried{Try: t, Says: err.Error()}
		}
		return host.Tried{Try: t, OK: true, Says: "accepts connections"}
	}
	return host.Tried{Try: t, Says: "a try is exactly one of tcp and url"}
}

// tryURL follows no redirects and trusts any certificate: the question is whether the service answers, not who it is.
func tryURL(ctx context.Context, t host.Try) host.Tried {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.URL, nil)
	if err != nil {
		return host.Tried{Try: t, Says: err.Error()}
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true} //nolint:gosec // see above
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return host.Tried{Try: t, Says: err.Error()}
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)); err != nil {
		return host.Tried{Try: t, Says: err.Error()}
	}
	ok := resp.StatusCode == t.Status || t.Status == 0 && resp.StatusCode >= 200 && resp.StatusCode < 400
	return host.Tried{Try: t, OK: ok, Says: fmt.Sprintf("answers %d", resp.StatusCode)}
}
