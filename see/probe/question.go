package probe

import (
	"strings"
	"time"

	"staunch/fault"
	"staunch/tame"
)

// Mode says how much to ask of each endpoint.
type Mode string

// The modes, from one connection to about fifty.
const (
	ModeHeartbleed  Mode = "heartbleed"  // one connection: the Heartbleed verdict alone
	ModeCertificate Mode = "certificate" // one connection: the chain that is served
	ModeKeys        Mode = "keys"        // four to seven connections: every key that is served, of each kind, and to those who name nobody
	ModeQuick       Mode = "quick"       // about eight connections: enough for a letter, which is then an upper bound
	ModeFull        Mode = "full"        // everything; also the meaning of ""
)

// Question says which endpoints to look at and how. It is what reach/host carries in Question.Probe.
// The zero value of every field but Targets has a safe meaning.
type Question struct {
	Targets    []string `json:"targets"`               // host, host:port, URL, [v6]:port, or CIDR:ports inside Allow
	Allow      []string `json:"allow,omitempty"`       // CIDRs inside which ranges may be named
	Mode       Mode     `json:"mode,omitempty"`        // "": full
	StartTLS   string   `json:"starttls,omitempty"`    // protocol, "none", or "": by scheme and well-known port
	Domain     string   `json:"domain,omitempty"`      // XMPP domain, when it is not the host's name
	SNI        string   `json:"sni,omitempty"`         // name to ask for, when it is not the target's host
	CA         string   `json:"ca,omitempty"`          // PEM roots to trust instead of the system's
	ExpectSPKI string   `json:"expect_spki,omitempty"` // lower-case hex SHA-256 that every address must serve
	OnlyTLS    bool     `json:"only_tls,omitempty"`    // targets are ports that somebody listens on: those without TLS are left out
	Intrusive  bool     `json:"intrusive,omitempty"`   // also tests that send what a broken client would
	Offline    bool     `json:"offline,omitempty"`     // do not fetch CRLs or ask OCSP responders
	AtOnce     int      `json:"at_once,omitempty"`     // connections at once to one address; 0: 4
	PerSecond  float64  `json:"per_second,omitempty"`  // new connections a second to one address; 0: 10; never limits loopback
	TotalRate  float64  `json:"total_rate,omitempty"`  // new connections a second over all; 0: 200
	Parallel   int      `json:"parallel,omitempty"`    // endpoints at once; 0: 32
	TimeoutMS  int64    `json:"timeout_ms,omitempty"`  // for one answer; 0: 5,000
}

// Progress is one step of long work; Total 0 means the end is not known.
type Progress struct {
	Says  string `json:"says"`
	Done  int64  `json:"done,omitempty"`
	Total int64  `json:"total,omitempty"`
}

func (q Question) mode() Mode {
	if q.Mode == "" {
		return ModeFull
	}
	return q.Mode
}

func (q Question) timeout() time.Duration {
	if q.TimeoutMS <= 0 {
		return 5 * time.Second
	}
	return time.Duration(q.TimeoutMS) * time.Millisecond
}

func (q Question) parallel() int {
	if q.Parallel <= 0 {
		return 32
	}
	return q.Parallel
}

// check refuses a question that makes no sense, before anything is sent.
func (q Question) check() error {
	switch q.mode() {
	case ModeFull, ModeQuick, ModeHeartbleed, ModeCertificate, ModeKeys:
	default:
		return fault.New(fault.Usage, "unknown mode %q", tame.Short(string(q.Mode), 200))
	}
	if q.ExpectSPKI != "" && (len(q.ExpectSPKI) != 64 || strings.Trim(q.ExpectSPKI, "0123456789abcdef") != "") {
		return fault.New(fault.Usage, "the expected key %q is not the lower-case hex of a SHA-256", tame.Short(q.ExpectSPKI, 200))
	}
	for _, t := range q.Targets {
		if q.Intrusive && strings.Contains(t, "/") && !strings.Contains(t, "://") {
			return fault.New(fault.Usage, "intrusive tests need targets named one by one, %q is a range", tame.Short(t, 200))
		}
	}
	return nil
}
