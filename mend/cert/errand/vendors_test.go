package errand_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"staunch/mend/cert"
	"staunch/mend/cert/edge"
	"staunch/mend/cert/errand"
	"staunch/mend/cert/replace"
	"staunch/steer/plan"
	"staunch/steer/run"
)

// vendor is our own model of a CDN whose edges serve what its interface was told, as far as its documentation says. The real one was never met.
type vendor struct {
	mu     sync.Mutex
	t      *testing.T
	edges  *server
	keys   map[string]crypto.Signer // by id
	certs  map[string]string        // id to PEM
	active string                   // the certificate's id
	calls  []string
	csr    string
	acks   bool // a person has acknowledged the change
	chain  string
}

func (v *vendor) serves(chain string, key crypto.Signer) {
	c := &tls.Certificate{PrivateKey: key}
	for block, rest := pem.Decode([]byte(chain)); block != nil; block, rest = pem.Decode(rest) {
		c.Certificate = append(c.Certificate, block.Bytes)
	}
	v.edges.serves.Store(c)
}

// keyOf finds the uploaded key of a certificate.
func (v *vendor) keyOf(chain string) crypto.Signer {
	block, _ := pem.Decode([]byte(chain))
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		v.t.Error(err)
		return nil
	}
	for _, k := range v.keys {
		if k.Public().(*ecdsa.PublicKey).Equal(leaf.PublicKey) {
			return k
		}
	}
	return nil
}

type resource struct {
	Data struct {
		ID            string            `json:"id,omitempty"`
		Type          string            `json:"type"`
		Attributes    map[string]string `json:"attributes,omitempty"`
		Relationships map[string]struct {
			Data struct {
				ID string `json:"id"`
			} `json:"data"`
		} `json:"relationships,omitempty"`
	} `json:"data"`
}

// fastly answers as the custom TLS interface: keys, certificates, activations.
func (v *vendor) fastly(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.calls = append(v.calls, r.Method+" "+r.URL.Path)
	var in resource
	if r.Method == http.MethodPost || r.Method == http.MethodPatch {
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			v.t.Error(err)
		}
	}
	id := fmt.Sprintf("id%d", len(v.calls))
	answer := func(x any) { _ = json.NewEncoder(w).Encode(x) } // a client that went away needs no answer
	switch path := strings.TrimPrefix(r.URL.Path, "/tls/"); {
	case r.Method == http.MethodPost && path == "private_keys":
		block, _ := pem.Decode([]byte(in.Data.Attributes["key"]))
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			v.t.Error(err)
			return
		}
		v.keys[id] = key.(crypto.Signer)
		in.Data.ID = id
		answer(in)
	case r.Method == http.MethodPost && path == "certificates":
		v.certs[id] = in.Data.Attributes["cert_blob"]
		if v.keyOf(v.certs[id]) == nil {
			http.Error(w, "upload the key first", http.StatusUnprocessableEntity)
			return
		}
		in.Data.ID = id
		answer(in)
	case r.Method == http.MethodPatch:
		v.active = in.Data.Relationships["tls_certificate"].Data.ID
		v.serves(v.certs[v.active], v.keyOf(v.certs[v.active]))
	case r.Method == http.MethodDelete:
		delete(v.certs, strings.TrimPrefix(path, "certificates/"))
		w.WriteHeader(http.StatusNoContent)
	case path == "certificates":
		list := []map[string]any{}
		for id, chain := range v.certs {
			block, _ := pem.Decode([]byte(chain))
			leaf, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				v.t.Error(err)
			}
			list = append(list, map[string]any{"id": id, "type": "tls_certificate", "attributes": map[string]string{"serial_number": leaf.SerialNumber.String()}})
		}
		answer(map[string]any{"data": list})
	case path == "activations" && r.URL.Query().Get("filter[tls_certificate.id]") == v.active:
		answer(map[string]any{"data": []map[string]any{{"id": "act1", "type": "tls_activation"}}})
	default:
		answer(map[string]any{"data": []any{}})
	}
}

// akamai answers as the certificate provisioning system: it makes the key, takes the chain, and waits for a person before it goes to production.
func (v *vendor) akamai(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.calls = append(v.calls, r.Method+" "+r.URL.Path)
	const change = "/cps/v2/enrollments/10/changes/7"
	switch r.URL.Path {
	case "/cps/v2/enrollments/10":
		fmt.Fprintf(w, `{"pendingChanges":[{"location":%q}]}`, change)
	case change + "/input/info/third-party-csr":
		_ = json.NewEncoder(w).Encode(map[string]any{"csrs": []map[string]string{{"csr": v.csr, "keyAlgorithm": "ECDSA"}}})
	case change + "/input/update/third-party-cert-and-trust-chain":
		var in struct {
			CertificatesAndTrustChains []struct{ Certificate, TrustChain string }
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || len(in.CertificatesAndTrustChains) != 1 {
			v.t.Error(err, in)
			return
		}
		v.chain = in.CertificatesAndTrustChains[0].Certificate + "\n" + in.CertificatesAndTrustChains[0].TrustChain + "\n"
	case change:
		switch {
		case v.chain == "":
			fmt.Fprint(w, `{"statusInfo":{"state":"awaiting-upload"},"allowedInput":[{"type":"third-party-certificate"}]}`)
		case !v.acks:
			fmt.Fprint(w, `{"statusInfo":{"state":"awaiting-input"},"allowedInput":[{"type":"change-management-acknowledgement"}]}`)
		default:
			v.serves(v.chain, v.keys["own"])
			http.NotFound(w, r) // a finished change is no longer pending
		}
	}
}

// behind puts the shop's CDN into a vendor's hands, which has the old certificate already.
func (x *shop) behind(driver string) *vendor {
	x.t.Helper()
	old := x.cdn.serves.serves.Load()
	v := &vendor{t: x.t, edges: x.cdn.serves, keys: map[string]crypto.Signer{}, certs: map[string]string{}}
	handler := map[string]http.HandlerFunc{"fastly": v.fastly, "akamai": v.akamai}[driver]
	api := httptest.NewServer(handler)
	x.t.Cleanup(api.Close)
	v.keys["old"], v.active = old.PrivateKey.(crypto.Signer), "old"
	v.certs["old"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: old.Certificate[0]}))
	e := errand.Edge{Driver: driver, Enrollment: "10"}
	if driver == "fastly" {
		e.Keyed = edge.NewFastly("token", api.URL)
	} else {
		e.Requesting = edge.NewAkamai(edge.AkamaiCredentials{Host: "h", ClientToken: "c", ClientSecret: "s", AccessToken: "a"}, api.URL)
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			x.t.Fatal(err)
		}
		csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"shop.example", "www.shop.example"}}, own)
		if err != nil {
			x.t.Fatal(err)
		}
		v.keys["own"], v.csr = own, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}))
	}
	one := x.opts.Edges["cdn"]
	one.Driver, one.Enrollment = driver, "10"
	x.opts.Edges = map[string]replace.Edge{"cdn": one}
	x.desk.Edge = func(context.Context, string) (errand.Edge, error) { return e, nil }
	return v
}

// told says that every step that touches the edge admits how far its driver is to be believed.
func told(t *testing.T, sealed *plan.Sealed) {
	t.Helper()
	n := 0
	for _, s := range sealed.Plan().Steps {
		if s.Kind == plan.Activate || s.Kind == plan.Retire || s.Kind == plan.Deploy && s.Act == nil {
			n++
			if !strings.Contains(s.Says, "not verified against the vendor") {
				t.Errorf("step %s does not say so: %s", s.ID, s.Says)
			}
		}
	}
	if n < 2 {
		t.Errorf("%d steps touch the edge", n)
	}
}

// TestAWholePlanThroughTheModelOfFastly: key and certificate are uploaded, every activation is moved, the edge is seen, and the old certificate,
// found by its serial number, is deleted last of all.
func TestAWholePlanThroughTheModelOfFastly(t *testing.T) {
	x := newShop(t)
	v := x.behind("fastly")
	sealed := x.rollout()
	told(t, sealed)
	if state, rec := x.run(sealed); state != run.Complete || x.status() != "Revoked" {
		x.complain(rec)
		t.Fatalf("the run ended %q, the old certificate is %s", state, x.status())
	}
	if _, there := v.certs["old"]; there || v.active == "old" || len(v.certs) != 1 {
		t.Errorf("active %s, certificates %d", v.active, len(v.certs))
	}
	if last := v.calls[len(v.calls)-1]; !strings.HasPrefix(last, "DELETE ") {
		t.Errorf("the last call was %s", last)
	}
}

// TestAWholePlanThroughTheModelOfAkamai: the CDN makes the key, its request is certified beside the origin's, and the run waits for the person
// who has to acknowledge the change there.
func TestAWholePlanThroughTheModelOfAkamai(t *testing.T) {
	x := newShop(t)
	x.points[0] = cert.Point{Name: "origin", Address: x.origin.addr, SNI: "shop.example"} // the origin has another key than the edge from now on
	x.plans(t)
	v := x.behind("akamai")
	made := x.certified()
	own, err := x.desk.Made(t.Context(), replace.KeyName("1.1", cert.SPKI(x.old), "cdn"))
	if err != nil || own.Edge != "cdn" || own.SPKI == made[0].SPKI || own.Chain == "" {
		t.Fatalf("%+v, %v", own, err)
	}
	x.opts.ID = "1.2"
	sealed := x.seal(replace.RollOut(x.keys, append(made, own), x.opts))
	told(t, sealed)
	rec := &tape{}
	if state := x.runOn(sealed, rec); state == run.Complete || x.status() != "Valid" {
		t.Fatalf("it ended %q although a person has to acknowledge the change", state)
	}
	said := ""
	for _, e := range rec.events {
		said += e.Says + "\n"
	}
	if !strings.Contains(said, "waits for a person") {
		t.Errorf("nobody was told what to do:\n%s", said)
	}
	v.mu.Lock()
	v.acks = true
	v.mu.Unlock()
	for _, s := range sealed.Plan().Steps {
		if s.Kind == plan.Activate {
			if err := run.Tell(t.Context(), sealed, rec, run.Event{Kind: run.Retried, By: "ann", Step: s.ID, Target: "cdn"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if state := x.runOn(sealed, rec); state != run.Complete || x.status() != "Revoked" {
		x.complain(rec)
		t.Errorf("the run ended %q, the old certificate is %s", state, x.status())
	}
}
