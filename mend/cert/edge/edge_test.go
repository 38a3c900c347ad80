package edge

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"staunch/fault"
	"staunch/testbed/real"
)

// bundle makes a key and a self-signed chain for it.
func bundle(t *testing.T, name string) (Bundle, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	plainKey, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	keyPEM := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: plainKey}))
	chain := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return Bundle{Name: name, Chain: chain, Key: func(context.Context) ([]byte, error) { return []byte(keyPEM), nil }}, chain + keyPEM
}

func served(t *testing.T, addr string) string {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		if err == nil {
			defer conn.Close()
			return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: conn.ConnectionState().PeerCertificates[0].Raw}))
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func TestHAProxyServesTheNewCertificateWithoutAReload(t *testing.T) {
	program := real.Program(t, "haproxy")
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	old, pemOld := bundle(t, "old.example")
	file, socket := filepath.Join(dir, "site.pem"), filepath.Join(dir, "admin.sock")
	conf := fmt.Sprintf("global\n  stats socket %s mode 600 level admin\ndefaults\n  mode http\n  timeout client 5s\n  timeout server 5s\n  timeout connect 5s\nfrontend f\n  bind %s ssl crt %s\n", socket, addr, file)
	for name, text := range map[string]string{"haproxy.cfg": conf, "site.pem": pemOld} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "-db", "-f", filepath.Join(dir, "haproxy.cfg"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() })
	if got := served(t, addr); got != old.Chain {
		t.Fatal("haproxy does not serve the first certificate")
	}
	h := HAProxy{Socket: socket, File: file}
	next, _ := bundle(t, "new.example")
	for range 2 { // twice: a transaction left open by a crash is no obstacle
		if _, err := h.Stage(t.Context(), next); err != nil {
			t.Fatal(err)
		}
	}
	if got := served(t, addr); got != old.Chain {
		t.Error("staging alone changed what is served")
	}
	if err := h.Activate(t.Context(), Ref{}, Ref{}); err != nil {
		t.Fatal(err)
	}
	if got := served(t, addr); got != next.Chain {
		t.Error("the new certificate is not served")
	}
	other, _ := bundle(t, "x.example")
	mixed := Bundle{Name: "x", Chain: other.Chain, Key: next.Key}
	if _, err := h.Stage(t.Context(), mixed); !fault.Is(err, fault.Usage) {
		t.Errorf("a key that does not fit was staged: %v", err)
	}
	if _, err := (HAProxy{Socket: socket, File: "x\nshow env"}).Stage(t.Context(), next); !fault.Is(err, fault.Usage) {
		t.Errorf("a command in a name: %v", err)
	}
}

// fastlyModel is our own model of the vendor's interface, as its documentation tells it.
type fastlyModel struct {
	mu    sync.Mutex
	t     *testing.T
	items map[string]map[string]item // type to id to item
	next  int
}

func (m *fastlyModel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.Header.Get("Fastly-Key") != "token" {
		http.Error(w, `{"errors":[{"title":"Unauthorized"}]}`, http.StatusUnauthorized)
		return
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/tls/"), "/")
	kind := map[string]string{"private_keys": "tls_private_key", "certificates": "tls_certificate", "activations": "tls_activation"}[parts[0]]
	var got one
	if r.Method != http.MethodGet && r.Method != http.MethodDelete {
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil || got.Data.Type != kind {
			m.t.Errorf("%s %s: %v %+v", r.Method, r.URL, err, got)
		}
	}
	switch r.Method {
	case http.MethodPost:
		if kind == "tls_certificate" && len(m.items["tls_private_key"]) == 0 {
			http.Error(w, "upload the key first", http.StatusUnprocessableEntity)
			return
		}
		m.next++
		got.Data.ID = fmt.Sprint("id", m.next)
		m.items[kind][got.Data.ID] = got.Data
		_ = json.NewEncoder(w).Encode(got)
	case http.MethodPatch:
		m.items[kind][parts[1]] = got.Data
	case http.MethodDelete:
		delete(m.items[kind], parts[1])
		w.WriteHeader(http.StatusNoContent)
	default:
		var out many
		for _, it := range m.items[kind] {
			want := r.URL.Query().Get("filter[tls_certificate.id]")
			if want == "" || it.Relationships["tls_certificate"].Data.ID == want {
				out.Data = append(out.Data, it)
			}
		}
		_ = json.NewEncoder(w).Encode(out)
	}
}

func TestFastlyMovesActivationsAndRetiresOnlyWhatIsIdle(t *testing.T) {
	model := &fastlyModel{t: t, items: map[string]map[string]item{"tls_private_key": {}, "tls_certificate": {}, "tls_activation": {}}}
	server := httptest.NewServer(model)
	defer server.Close()
	f := NewFastly("token", server.URL)
	first, _ := bundle(t, "shop.example")
	old, err := f.Stage(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	model.items["tls_activation"]["a1"] = item{ID: "a1", Type: "tls_activation", Relationships: map[string]rel{"tls_certificate": {item{ID: old.ID, Type: "tls_certificate"}}}}
	second, _ := bundle(t, "shop.example")
	staged, err := f.Stage(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	again, err := f.Stage(t.Context(), second)
	if err != nil || again.ID != staged.ID || len(model.items["tls_private_key"]) != 2 {
		t.Errorf("staging twice uploaded twice: %+v %v", again, err)
	}
	if err := f.Retire(t.Context(), old); !fault.Is(err, fault.Denied) {
		t.Errorf("an active certificate was retired: %v", err)
	}
	if err := f.Activate(t.Context(), old, staged); err != nil {
		t.Fatal(err)
	}
	if got := model.items["tls_activation"]["a1"].Relationships["tls_certificate"].Data.ID; got != staged.ID {
		t.Errorf("the activation is at %s", got)
	}
	if err := f.Retire(t.Context(), old); err != nil || len(model.items["tls_certificate"]) != 1 || len(model.items["tls_private_key"]) != 1 {
		t.Errorf("retire: %v, %v", err, model.items)
	}
	if _, err := NewFastly("wrong", server.URL).Stage(t.Context(), second); !fault.Is(err, fault.Denied) {
		t.Errorf("a wrong token: %v", err)
	}
}

func TestEdgeGridSignature(t *testing.T) {
	c := AkamaiCredentials{ClientToken: "akab-client-token-xxx-xxxxxxxxxxxxxxxx", ClientSecret: "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx=", AccessToken: "akab-access-token-xxx-xxxxxxxxxxxxxxxx"}
	r, err := http.NewRequest(http.MethodGet, "https://akaa-baseurl-xxxxxxxxxxx-xxxxxxxxxxxxx.luna.akamaiapis.net/", nil)
	if err != nil {
		t.Fatal(err)
	}
	got := c.header(r, nil, time.Date(2014, 3, 21, 19, 34, 21, 0, time.UTC), "nonce-xx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")
	if want := "signature=tL+y4hxyHxgWVD30X3pWnGKHcPzmrIF+LThiAOhMxYU="; !strings.HasSuffix(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestAkamaiMakesTheKeyAndTakesOurChain(t *testing.T) {
	b, _ := bundle(t, "shop.example")
	var put map[string][]map[string]string
	csrReady, asked := false, 0
	mux := http.NewServeMux()
	mux.HandleFunc("GET /cps/v2/enrollments/10", func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "EG1-HMAC-SHA256 client_token=ct;access_token=at;") {
			t.Errorf("authorization %q", r.Header.Get("Authorization"))
		}
		fmt.Fprint(w, `{"id":10,"pendingChanges":[{"location":"/cps/v2/enrollments/10/changes/7","changeType":"renewal"}]}`)
	})
	mux.HandleFunc("GET /cps/v2/enrollments/10/changes/7/input/info/third-party-csr", func(w http.ResponseWriter, _ *http.Request) {
		if !csrReady {
			http.NotFound(w, nil)
			return
		}
		fmt.Fprint(w, `{"csrs":[{"csr":"-----BEGIN CERTIFICATE REQUEST-----","keyAlgorithm":"ECDSA"}]}`)
	})
	mux.HandleFunc("POST /cps/v2/enrollments/10/changes/7/input/update/third-party-cert-and-trust-chain", func(_ http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&put); err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("GET /cps/v2/enrollments/10/changes/7", func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked == 1 {
			fmt.Fprint(w, `{"statusInfo":{"state":"awaiting-input"},"allowedInput":[{"type":"change-management-acknowledgement"}]}`)
			return
		}
		http.NotFound(w, nil)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	a := NewAkamai(AkamaiCredentials{ClientToken: "ct", ClientSecret: "s", AccessToken: "at"}, server.URL)
	if _, _, err := a.Request(t.Context(), "10"); !fault.Is(err, fault.Timeout) {
		t.Errorf("before the key is made: %v", err)
	}
	csrReady = true
	change, csr, err := a.Request(t.Context(), "10")
	if err != nil || !strings.Contains(string(csr), "REQUEST") {
		t.Fatalf("%s %v", csr, err)
	}
	if err := a.Put(t.Context(), change, b.Chain+b.Chain); err != nil {
		t.Fatal(err)
	}
	if got := put["certificatesAndTrustChains"]; len(got) != 1 || got[0]["keyAlgorithm"] != "ECDSA" || got[0]["certificate"] != strings.TrimSpace(b.Chain) || got[0]["trustChain"] != strings.TrimSpace(b.Chain) {
		t.Errorf("%+v", put)
	}
	if p, err := a.Progress(t.Context(), change); err != nil || p.Done || !strings.Contains(p.Waits, "a person") {
		t.Errorf("%+v %v", p, err)
	}
	if p, err := a.Progress(t.Context(), change); err != nil || !p.Done {
		t.Errorf("%+v %v", p, err)
	}
}

func TestAnEdgeOfTheTeamsOwn(t *testing.T) {
	real.Slow(t)
	dir := t.TempDir()
	hook := filepath.Join(dir, "edge")
	script := "#!/bin/sh\ncat >" + dir + "/$1\n[ $1 = retire ] && { echo nope >&2; exit 4; }\n[ $1 = stage ] && echo '{\"id\":\"42\"}'\nexit 0\n"
	if err := os.WriteFile(hook, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	b, _ := bundle(t, "shop.example")
	h := Hook{Program: hook}
	ref, err := h.Stage(t.Context(), b)
	if err != nil || ref.ID != "42" || ref.Driver != "hook" {
		t.Fatalf("%+v %v", ref, err)
	}
	if err := h.Activate(t.Context(), Ref{ID: "41"}, ref); err != nil {
		t.Error(err)
	}
	if err := h.Retire(t.Context(), Ref{ID: "41"}); !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "nope") {
		t.Errorf("%v", err)
	}
	var in hookInput
	text, err := os.ReadFile(filepath.Join(dir, "stage"))
	if err != nil || json.Unmarshal(text, &in) != nil || !strings.Contains(in.Key, "PRIVATE KEY") {
		t.Errorf("the program got %s %v", text, err)
	}
}

func TestOnlyDriversThatMetTheRealThingSayNothing(t *testing.T) {
	for driver, want := range map[string]string{"haproxy": "vendor", "hook": "vendor", "fastly": "not verified against the vendor", "akamai": "not verified against the vendor"} {
		if got := Verified(driver); got != want {
			t.Errorf("%s: %s", driver, got)
		}
	}
}
