package vault_test

import (
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"staunch/fault"
	"staunch/reach/act/vault"
)

func TestEveryKindOfKeyGoesThroughSealAndOpen(t *testing.T) {
	there := vault.Vault{State: t.TempDir()}
	recipient, err := there.Recipient()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := there.Recipient(); err != nil || again != recipient {
		t.Errorf("another recipient at the second call: %s, %v", again, err)
	}
	for _, kind := range []string{"ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048"} {
		key, err := vault.Generate(kind)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		spki, err := vault.SPKI(key)
		if err != nil {
			t.Fatal(err)
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
		sealed, err := vault.Seal(text, []string{recipient})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := there.Open(sealed, spki); err != nil || string(got) != string(text) {
			t.Errorf("%s: %v", kind, err)
		}
		csr, err := vault.CSR(key, "", []string{"a.example", "2001:db8::1"}, true)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode([]byte(csr))
		request, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil || request.CheckSignature() != nil || len(request.IPAddresses) != 1 || request.DNSNames[0] != "a.example" || len(request.Extensions) != 2 {
			t.Errorf("%s: CSR %+v, %v", kind, request, err)
		}
	}
}

func TestAKeyIsNeverWrittenOverAnother(t *testing.T) {
	v := vault.Vault{State: t.TempDir()}
	if err := v.Keep("k", []byte("first"), vault.Fact{Order: "o/1", SPKI: "s"}); err != nil {
		t.Fatal(err)
	}
	if err := v.Keep("k", []byte("second"), vault.Fact{Order: "o/2", SPKI: "t"}); !fault.Is(err, fault.Conflict) {
		t.Errorf("written over: %v", err)
	}
	text, fact, err := v.Read("k")
	if err != nil || fact.Order != "o/1" || !strings.HasPrefix(string(text), "-----BEGIN PRIVATE KEY-----") {
		t.Errorf("%q %+v %v", text, fact, err)
	}
}

func FuzzOpen(f *testing.F) {
	v := vault.Vault{State: f.TempDir()}
	recipient, err := v.Recipient()
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := vault.Seal([]byte("not a key"), []string{recipient})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add("-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n-----END AGE ENCRYPTED FILE-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := v.Open(text, strings.Repeat("0", 64)); err == nil {
			t.Fatal("something that is no key was taken")
		}
	})
}
