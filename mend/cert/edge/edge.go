// Package edge brings certificates to CDNs and load balancers: staged, activated, observed, and the old one retired last.
package edge

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"staunch/fault"
	"staunch/tame"
)

// Bundle is what a driver takes in the mode where we bring the key: chain and key of one name set.
type Bundle struct {
	Name  string // how the edge shows it to people
	Chain string // PEM, leaf first
	// Key gives the private key (PEM). It is called on the machine that holds the key, at the moment of staging, and never stored.
	Key func(ctx context.Context) ([]byte, error)
}

// key gives the bundle's key after a check that it is the chain's: no edge looks as early, and some serve nothing afterwards.
func (b Bundle) key(ctx context.Context) ([]byte, error) {
	key, err := b.Key(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := tls.X509KeyPair([]byte(b.Chain), key); err != nil {
		return nil, fault.New(fault.Usage, "key and certificate of %s do not fit: %v", b.Name, err)
	}
	return key, nil
}

// Ref names something at an edge: what was staged, or what is served now. It is plain data, for the ledger.
type Ref struct {
	Driver string            `json:"driver"`
	ID     string            `json:"id"`
	More   map[string]string `json:"more,omitempty"` // the driver's own ids
}

// Keyed is an edge that takes key and certificate (Fastly, HAProxy, a hook).
type Keyed interface {
	// Stage brings the bundle there; nothing is served from it yet. Doing it twice for the same chain gives the same Ref.
	Stage(ctx context.Context, b Bundle) (Ref, error)
	// Activate serves staged instead of old from now on (which takes the edge its time: an outside handshake is the proof, not this).
	Activate(ctx context.Context, old, staged Ref) error
	// Retire removes what is served nowhere any more. Only called after the key was seen gone everywhere.
	Retire(ctx context.Context, old Ref) error
}

// Finder is an edge that can tell which of its certificates has one of these serial numbers (lower-case hex). NotFound: none.
type Finder interface {
	Find(ctx context.Context, serials []string) (Ref, error)
}

// Retires tells whether a driver has anything to take away after a change: HAProxy replaces in memory, and Akamai by itself.
func Retires(driver string) bool { return driver == "fastly" || driver == "hook" }

// Requesting is an edge that makes the key itself and never shows it (Akamai CPS).
type Requesting interface {
	// Request starts a change and returns its CSR (PEM) once the edge has made one.
	Request(ctx context.Context, enrollment string) (Ref, []byte, error)
	// Put hands in the chain for a request.
	Put(ctx context.Context, change Ref, chain string) error
	// Progress says how far the change is, and acknowledges what only needs an acknowledgement.
	Progress(ctx context.Context, change Ref) (Progress, error)
}

// Progress is how far a change at an edge is.
type Progress struct {
	State string `json:"state"`           // the edge's own word
	Done  bool   `json:"done"`            // active everywhere, says the edge
	Waits string `json:"waits,omitempty"` // what a person has to do or decide there
}

// Verified tells how a driver was tested: "vendor" against the real thing, else "not verified against the vendor".
func Verified(driver string) string {
	switch driver {
	case "haproxy", "hook":
		return "vendor"
	}
	return "not verified against the vendor"
}

// maxAnswer bounds what an edge may send us.
const maxAnswer = 4 << 20

// api is a small JSON client: what every HTTP driver needs.
type api struct {
	base   string
	client *http.Client
	// sign adds the credentials.
	sign func(r *http.Request, body []byte) error
}

type call struct {
	method, path string
	accept, kind string // media types; "" means application/json
	send         any
	answer       any
}

// do makes one call. Its faults tell a caller what to do: Denied (credentials, refused), NotFound, Conflict, Full (too many calls),
// Unsure (the edge failed while it worked on it).
func (a *api) do(ctx context.Context, c call) (http.Header, error) {
	var body []byte
	if c.send != nil {
		var err error
		if body, err = json.Marshal(c.send); err != nil {
			return nil, fault.New(fault.Bug, "%s %s: %v", c.method, c.path, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, c.method, a.base+c.path, bytes.NewReader(body))
	if err != nil {
		return nil, fault.New(fault.Usage, "%s%s cannot be called: %v", a.base, c.path, err)
	}
	req.Header.Set("Accept", orJSON(c.accept))
	if body != nil {
		req.Header.Set("Content-Type", orJSON(c.kind))
	}
	if err := a.sign(req, body); err != nil {
		return nil, err
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, fault.New(fault.Unsure, "%s %s: no answer: %v", c.method, c.path, err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fault.New(fault.Unsure, "%s %s: the answer broke off: %v", c.method, c.path, err)
	}
	if resp.StatusCode/100 != 2 {
		return nil, refused(c, resp.StatusCode, got)
	}
	if c.answer != nil && len(got) > 0 {
		if err := json.Unmarshal(got, c.answer); err != nil {
			return nil, fault.New(fault.Corrupt, "%s %s: the answer is not what its documentation says: %v", c.method, c.path, err)
		}
	}
	return resp.Header, nil
}

func orJSON(kind string) string {
	if kind == "" {
		return "application/json"
	}
	return kind
}

func refused(c call, status int, body []byte) error {
	kind := fault.Denied
	switch {
	case status == http.StatusNotFound:
		kind = fault.NotFound
	case status == http.StatusConflict:
		kind = fault.Conflict
	case status == http.StatusTooManyRequests:
		kind = fault.Full
	case status >= 500:
		kind = fault.Unsure
	}
	return fault.New(kind, "%s %s: status %d: %s", c.method, c.path, status, tame.Short(string(body), 500))
}
