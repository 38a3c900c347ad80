package setup

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"staunch/fault"

	"filippo.io/age"
)

func certsIn(t testing.TB, text string) (*File, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "certs.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Read("", "", path, filepath.Join(filepath.Dir(path), "identity"))
}

func TestCertsFileSaysWhatIsWrong(t *testing.T) {
	for bad, want := range map[string]string{
		"authorities: [{name: a}]":                                          "exactly one way",
		"authorities: [{name: a, acme: x, hand: true}]":                     "exactly one way",
		"authorities: [{acme: x}]":                                          "name of its own",
		"authorities: [{name: a, hand: true}, {name: a, hook: /x}]":         "name of its own",
		"authorities: [{name: a, acme: x, limits: none}]":                   "limits",
		"edges: {cdn: {driver: magic}}":                                     "magic",
		"custodians: {ann: age1xyz}":                                        "ann",
		"surprise: 1":                                                       "surprise",
		"authorities: [":                                                    "certs.yaml",
		"authorities: [{name: a, acme: x, accounts: [k], token: in-plain}]": "token",
	} {
		if _, err := certsIn(t, bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// TestADrillMeetsNoRealCA: the routes of a drill and of the real thing have nothing in common.
func TestADrillMeetsNoRealCA(t *testing.T) {
	c, err := certsIn(t, "authorities:\n- {name: le, acme: https://le, accounts: [a]}\n- {name: pebble, acme: https://p, accounts: [b], drill: true}\n- {name: corp, hook: /x}\n")
	if err != nil {
		t.Fatal(err)
	}
	really, drill := c.Routes(false, nil), c.Routes(true, nil)
	if len(really) != 1 || really[0].CA != "le" || len(drill) != 1 || drill[0].CA != "pebble" || len(c.Issuers(true)) != 0 || len(c.Issuers(false)) != 1 {
		t.Errorf("really %v, in a drill %v", really, drill)
	}
}

// TestSecretsAreNeverPlain: an account's key is readable by its custodians alone, and a secret in plain text is refused.
func TestSecretsAreNeverPlain(t *testing.T) {
	ann, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	ben, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	c, err := certsIn(t, "custodians: {ann: "+ann.Recipient().String()+", ben: "+ben.Recipient().String()+"}\n")
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := c.sealKey(key)
	if err != nil || bytes.Contains(sealed, []byte("PRIVATE KEY")) {
		t.Fatalf("%s, %v", sealed, err)
	}
	for name, id := range map[string]*age.X25519Identity{"ann": ann, "ben": ben} {
		if err := os.WriteFile(c.identity, []byte(id.String()+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		plain, err := c.open(sealed, "account")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, err := signer(plain, "account"); err != nil || !key.Equal(got) {
			t.Errorf("%s opens another key: %v", name, err)
		}
		if _, err := c.open(plain, "account"); !fault.Is(err, fault.Denied) {
			t.Errorf("a plain secret: %v", err)
		}
	}
	if err := os.Remove(c.identity); err != nil {
		t.Fatal(err)
	}
	if _, err := c.open(sealed, "account"); !fault.Is(err, fault.Denied) {
		t.Errorf("without an identity: %v", err)
	}
	only := &File{Custodians: map[string]string{"ann": ann.Recipient().String()}, Authorities: []Authority{{Name: "le", ACME: "https://le"}}}
	if err := only.MakeAccount(context.Background(), "le", "x", false); !fault.Is(err, fault.Denied) {
		t.Errorf("an account in one person's hands: %v", err)
	}
}

func TestLogsOfCertificates(t *testing.T) {
	for _, bad := range []string{"", "[", "[{}]", "[1]", "hello", "-----BEGIN CERTIFICATE-----\n%%\n-----END CERTIFICATE-----\n"} {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadLogs(t.Context(), []string{path}); !fault.Is(err, fault.Corrupt) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestALogOfCertificatesByURL: what a server answers is read like a file; a bad status, too much and silence are told as what they are.
func TestALogOfCertificatesByURL(t *testing.T) {
	entry := "-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n" // whole or not is judged later
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/pem":
			_, _ = io.WriteString(w, entry)
		case "/json":
			_ = json.NewEncoder(w).Encode([]map[string]string{{"pem": entry}, {"certificate": entry}})
		case "/flood":
			for b := make([]byte, 1<<20); ; {
				if _, err := w.Write(b); err != nil {
					return // the reader had enough
				}
			}
		default:
			http.Error(w, entry, http.StatusBadGateway)
		}
	}))
	defer server.Close()
	for path, n := range map[string]int{"/pem": 1, "/json": 2} {
		if got, err := ReadLogs(t.Context(), []string{server.URL + path}); err != nil || len(got) != n || got[0].Source != server.URL+path {
			t.Errorf("%s: %v, %v", path, got, err)
		}
	}
	if _, err := ReadLogs(t.Context(), []string{server.URL + "/broken"}); !fault.Is(err, fault.Unreachable) || !strings.Contains(err.Error(), "502") {
		t.Errorf("a bad status: %v", err)
	}
	if _, err := ReadLogs(t.Context(), []string{server.URL + "/flood"}); !fault.Is(err, fault.Full) {
		t.Errorf("without end: %v", err)
	}
	server.Close()
	if _, err := ReadLogs(t.Context(), []string{server.URL + "/pem"}); !fault.Is(err, fault.Unreachable) {
		t.Errorf("nobody there: %v", err)
	}
}

// TestKeysThatCannotBeUsed: each says what is wrong with it, in words.
func TestKeysThatCannotBeUsed(t *testing.T) {
	for text, says := range map[string]string{
		"": "holds no PEM", "-----BEGIN PRIVATE KEY-----\nAAAA\n": "holds no PEM", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n": "no private key that can be read",
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n":                                                             "no private key that can be read",
		"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n":                                         "a passphrase of its own",
		"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n": "a passphrase of its own",
	} {
		if _, err := signer([]byte(text), "old.age"); err == nil || !strings.Contains(err.Error(), "old.age") || !strings.Contains(err.Error(), says) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

func FuzzCertsFile(f *testing.F) {
	f.Add("authorities: [{name: a, acme: x}]\nedges: {cdn: {driver: hook}}\n")
	f.Add("custodians: {a: &x b, c: *x}")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := certsIn(t, text)
		if (c == nil) == (err == nil) {
			t.Errorf("%v, %v", c, err)
		}
	})
}
