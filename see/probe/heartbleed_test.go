package probe_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"staunch/see/probe"
	"staunch/testbed/real"
)

// A record whose length is the truth and whose padding is missing tells flawed code from fixed code; the stub applies the checks of the fix.
func TestHeartbleedStubs(t *testing.T) {
	t.Parallel()
	cert := newAuthority(t).issue(t, ecKey(t)).cert.Raw
	for _, c := range []struct {
		name   string
		server stub
		want   probe.Verdict
		reason string
	}{
		{"flawed", stub{extension: 1, beat: echo}, probe.Vulnerable, "without padding"},
		{"patched, heartbeats on", stub{extension: 1, beat: patched}, probe.Patched, "answers the honest one"},
		{"patched, answers with an alert", stub{extension: 1, beat: alarm}, probe.Patched, "unexpected_message"},
		{"a middlebox swallows heartbeats", stub{extension: 1, beat: swallow}, probe.Inconclusive, "swallow"},
		{"flawed and slow", stub{extension: 1, beat: slowly(echo, 300*time.Millisecond)}, probe.Vulnerable, "without padding"},
		{"hangs up", stub{extension: 1, beat: hangUp}, probe.Inconclusive, "ended the connection"},
		{"no extension", stub{beat: hangUp}, probe.NoHeartbeat, "does not negotiate"},
		{"may not be sent to", stub{extension: 2, beat: hangUp}, probe.NoHeartbeat, "may not be sent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.server.cert = cert
			r := look(t, serving(t, c.server.serve), mode(probe.ModeHeartbleed), func(q *probe.Question) { q.TimeoutMS = 2000 })
			if r.Heartbleed.Verdict != c.want || !strings.Contains(r.Heartbleed.Reason, c.reason) {
				t.Errorf("verdict %s (%s), want %s (... %s ...)", r.Heartbleed.Verdict, r.Heartbleed.Reason, c.want, c.reason)
			}
			if r.Heartbleed.ForeignBytes != 0 {
				t.Errorf("%d foreign bytes", r.Heartbleed.ForeignBytes)
			}
		})
	}
}

// The verdict must be right on every published binary, whatever its version text says: 0.10.1 and 0.10.2 both say 1.0.1e.
func TestHeartbleedCorpus(t *testing.T) {
	real.Slow(t)
	t.Parallel()
	l := newAuthority(t).issue(t, rsaKey(t, 2048))
	for version, want := range map[string]probe.Verdict{
		"0.8.28": probe.NoHeartbeat, "0.10.0": probe.Vulnerable, "0.10.1": probe.Vulnerable, "0.10.2": probe.NoHeartbeat,
		"0.10.26": probe.NoHeartbeat, "0.10.27": probe.NoHeartbeat, "20.20.2": probe.NoHeartbeat,
	} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			target := node(t, version, l)
			for range 3 { // and the server survives it
				r := look(t, target, mode(probe.ModeHeartbleed))
				if r.Heartbleed.Verdict != want || r.Heartbleed.ForeignBytes != 0 {
					t.Errorf("node %s: %+v, want %s", version, r.Heartbleed, want)
				}
				if want == probe.Vulnerable && r.Connections != 1 {
					t.Errorf("it took %d connections", r.Connections)
				}
			}
		})
	}
}

// A whole probe, intrusive tests included, leaves old servers running: out of order messages have been seen to end Node 0.10.
func TestOldServersSurvive(t *testing.T) {
	real.Slow(t)
	t.Parallel()
	l := newAuthority(t).issue(t, rsaKey(t, 2048))
	for version, ccs := range map[string]string{
		"0.8.28": "not_seen", "0.10.0": "vulnerable", "0.10.1": "vulnerable", "0.10.2": "vulnerable", "0.10.27": "vulnerable", "0.10.30": "not_seen",
	} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			target := node(t, version, l)
			for range 3 {
				for _, m := range []probe.Mode{probe.ModeFull, probe.ModeQuick} {
					if r := look(t, target, mode(m)); r.Error != "" {
						t.Fatalf("the server is gone after %s: %s", m, r.Error)
					}
				}
			}
			r := look(t, target, func(q *probe.Question) { q.Intrusive = true })
			if r.Error != "" {
				t.Fatalf("the server is gone: %s", r.Error)
			}
			for _, f := range r.Flaws {
				if strings.HasPrefix(f.Name, "early CCS") && f.Verdict != ccs {
					t.Errorf("%s: %s (%s), want %s", f.Name, f.Verdict, f.Reason, ccs)
				}
				if !strings.HasPrefix(f.Name, "early CCS") && f.Verdict != "not_seen" {
					t.Errorf("%s: %s (%s)", f.Name, f.Verdict, f.Reason)
				}
			}
			if len(r.Flaws) != 3 {
				t.Errorf("%d intrusive tests", len(r.Flaws))
			}
			conn, err := net.Dial("tcp", target)
			must(t, err)
			must(t, conn.Close())
		})
	}
}

// The flaw shows in every version that had heartbeats: TLS 1.0 on a real server that speaks nothing newer, TLS 1.1 on a stub.
func TestHeartbleedInOldVersions(t *testing.T) {
	real.Slow(t)
	t.Parallel()
	l := newAuthority(t).issue(t, rsaKey(t, 2048))
	for want, target := range map[string]string{
		"TLS1.0": node(t, "0.10.1", l, "TLSv1_method"), "TLS1.1": serving(t, stub{extension: 1, minor: 2, beat: echo, cert: l.cert.Raw}.serve),
	} {
		r := look(t, target, mode(probe.ModeHeartbleed))
		if r.Heartbleed.Verdict != probe.Vulnerable || r.Heartbleed.Version != want || r.Heartbleed.ForeignBytes != 0 || r.Connections != 1 {
			t.Errorf("%+v in %d connections, want %s", r.Heartbleed, r.Connections, want)
		}
	}
}

// A server that compresses is seen, though it has one suite only and the first hello did not offer compression.
func TestCompressionIsSeen(t *testing.T) {
	t.Parallel()
	cert := newAuthority(t).issue(t, ecKey(t)).cert.Raw
	for _, deflate := range []byte{0, 1} {
		r := look(t, serving(t, stub{cert: cert, deflate: deflate, beat: hangUp}.serve), func(q *probe.Question) { q.TimeoutMS = 2000 })
		if r.Compression == nil || *r.Compression != (deflate == 1) {
			t.Errorf("compression %d: %v, offered %s", deflate, r.Compression, offered(r))
		}
	}
}
