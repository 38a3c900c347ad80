package edge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"staunch/fault"
)

// Fastly drives custom TLS certificates at Fastly: key first, then the certificate, then every activation is moved over
// (developer documentation: TLS private keys, certificates, activations). Not verified against the vendor.
type Fastly struct{ api api }

// NewFastly takes an API token that may manage TLS. base is "" for the real thing.
func NewFastly(token, base string) *Fastly {
	if base == "" {
		base = "https://api.fastly.com"
	}
	return &Fastly{api{base: base, client: &http.Client{}, sign: func(r *http.Request, _ []byte) error {
		r.Header.Set("Fastly-Key", token)
		return nil
	}}}
}

const jsonAPI = "application/vnd.api+json"

// item is one JSON:API resource.
type item struct {
	ID            string         `json:"id,omitempty"`
	Type          string         `json:"type"`
	Attributes    map[string]any `json:"attributes,omitempty"`
	Relationships map[string]rel `json:"relationships,omitempty"`
}

type rel struct {
	Data item `json:"data"`
}

type one struct {
	Data item `json:"data"`
}

type many struct {
	Data []item `json:"data"`
}

func (f *Fastly) call(ctx context.Context, method, path string, send, answer any) error {
	_, err := f.api.do(ctx, call{method: method, path: path, accept: jsonAPI, kind: jsonAPI, send: send, answer: answer})
	return err
}

// Stage uploads the key and then the certificate. Both carry a name made of the chain's hash, so that a repeated call finds them.
func (f *Fastly) Stage(ctx context.Context, b Bundle) (Ref, error) {
	sum := sha256.Sum256([]byte(b.Chain))
	name := b.Name + " " + hex.EncodeToString(sum[:8])
	keyID, err := f.find(ctx, "/tls/private_keys", name)
	if err != nil {
		return Ref{}, err
	}
	if keyID == "" {
		if keyID, err = f.putKey(ctx, name, b); err != nil {
			return Ref{}, err
		}
	}
	certID, err := f.find(ctx, "/tls/certificates", name)
	if err != nil {
		return Ref{}, err
	}
	if certID == "" {
		var got one
		send := one{item{Type: "tls_certificate", Attributes: map[string]any{"name": name, "cert_blob": b.Chain}}}
		if err := f.call(ctx, http.MethodPost, "/tls/certificates", send, &got); err != nil {
			return Ref{}, err
		}
		certID = got.Data.ID
	}
	if certID == "" || keyID == "" {
		return Ref{}, fault.New(fault.Corrupt, "the CDN gave no id for what was uploaded")
	}
	return Ref{Driver: "fastly", ID: certID, More: map[string]string{"key": keyID}}, nil
}

func (f *Fastly) putKey(ctx context.Context, name string, b Bundle) (string, error) {
	key, err := b.key(ctx)
	if err != nil {
		return "", err
	}
	var got one
	send := one{item{Type: "tls_private_key", Attributes: map[string]any{"name": name, "key": string(key)}}}
	err = f.call(ctx, http.MethodPost, "/tls/private_keys", send, &got)
	return got.Data.ID, err
}

// find looks for a resource by the name we gave it.
func (f *Fastly) find(ctx context.Context, path, name string) (id string, err error) {
	err = f.each(ctx, path, func(it item) bool {
		if it.Attributes["name"] == name {
			id = it.ID
		}
		return id != ""
	})
	return id, err
}

// each shows every resource of a kind, page by page, until found says that it has enough.
func (f *Fastly) each(ctx context.Context, path string, found func(item) bool) error {
	for page := 1; page <= 200; page++ {
		var got many
		if err := f.call(ctx, http.MethodGet, path+"?page%5Bsize%5D=100&page%5Bnumber%5D="+strconv.Itoa(page), nil, &got); err != nil {
			return err
		}
		if slices.ContainsFunc(got.Data, found) || len(got.Data) < 100 {
			return nil
		}
	}
	return fault.New(fault.Full, "more than 20,000 entries at %s", path)
}

// Find looks for the certificate with one of these serial numbers, which the CDN writes in decimal or in hex.
func (f *Fastly) Find(ctx context.Context, serials []string) (Ref, error) {
	want := map[string]bool{}
	for _, hex := range serials {
		if n, ok := new(big.Int).SetString(hex, 16); ok {
			want[n.String()], want[strings.ToLower(hex)], want[n.Text(16)] = true, true, true
		}
	}
	ref := Ref{Driver: "fastly"}
	err := f.each(ctx, "/tls/certificates", func(it item) bool {
		serial, _ := it.Attributes["serial_number"].(string)
		if want[strings.ToLower(strings.ReplaceAll(serial, ":", ""))] {
			ref.ID = it.ID
		}
		return ref.ID != ""
	})
	if err == nil && ref.ID == "" {
		err = fault.New(fault.NotFound, "the CDN has no certificate with serial %s", strings.Join(serials, " or "))
	}
	return ref, err
}

// Activate moves every activation (a name on a TLS configuration) from the old certificate to the new one.
func (f *Fastly) Activate(ctx context.Context, old, staged Ref) error {
	if old.ID == "" || staged.ID == "" {
		return fault.New(fault.Usage, "which certificate is served now is not known").Hinted("without it every activation of the account would be moved; certs.yaml: current")
	}
	var got many
	if err := f.call(ctx, http.MethodGet, "/tls/activations?filter%5Btls_certificate.id%5D="+url.QueryEscape(old.ID), nil, &got); err != nil {
		return err
	}
	for _, a := range got.Data {
		send := one{item{ID: a.ID, Type: "tls_activation", Relationships: map[string]rel{"tls_certificate": {item{ID: staged.ID, Type: "tls_certificate"}}}}}
		if err := f.call(ctx, http.MethodPatch, "/tls/activations/"+url.PathEscape(a.ID), send, nil); err != nil {
			return err
		}
	}
	return nil
}

// Retire deletes the old certificate and then its key; a certificate that still is active is refused by the CDN, and by us before that.
func (f *Fastly) Retire(ctx context.Context, old Ref) error {
	if old.ID == "" {
		return fault.New(fault.Usage, "which certificate was served before is not known").Hinted("take it away at the CDN by hand")
	}
	var active many
	if err := f.call(ctx, http.MethodGet, "/tls/activations?filter%5Btls_certificate.id%5D="+url.QueryEscape(old.ID), nil, &active); err != nil {
		return err
	}
	if n := len(active.Data); n > 0 {
		return fault.New(fault.Denied, "the old certificate still is active for %d names at the CDN", n)
	}
	for _, path := range []string{"/tls/certificates/" + url.PathEscape(old.ID), "/tls/private_keys/" + url.PathEscape(old.More["key"])} {
		if err := f.call(ctx, http.MethodDelete, path, nil, nil); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		if old.More["key"] == "" {
			break // the key's id was never known to us: it stays, and nothing uses it
		}
	}
	return nil
}
