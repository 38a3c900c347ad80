package setup

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"

	"staunch/fault"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// MakeAccount makes or changes an account. A new key is on disk (under FILE.new for a rollover) before the CA hears of it, so that a crash never loses it.
func (c *File) MakeAccount(ctx context.Context, ca, file string, roll bool) error {
	a, known := c.Authority(ca)
	if !known || a.ACME == "" {
		return fault.New(fault.NotFound, "no ACME authority is called %s", ca)
	}
	if len(c.Custodians) < 2 {
		return fault.New(fault.Denied, "%d custodians are named, an account needs two", len(c.Custodians)).Hinted("certs.yaml: custodians; never one person alone")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fault.New(fault.Bug, "%v", err)
	}
	sealed, err := c.sealKey(key)
	if err != nil {
		return err
	}
	path := c.path(file)
	if !roll {
		if _, err := c.identities(); err != nil { // before there is a file that nobody here can open
			return err
		}
		if err := writeNew(path, sealed); err != nil {
			return fault.From(err, fault.KindOf(err)).Hinted("if its account was made, it can be used; else name another file; --rollover changes the key of the account in it")
		}
		_, err := c.login(ctx, ca, file) // registers
		return err
	}
	client, err := c.login(ctx, ca, file)
	if err != nil {
		return err
	}
	if err := writeNew(path+".new", sealed); err != nil {
		return err
	}
	if _, err := client.Rollover(ctx, key); err != nil {
		return fault.From(err, fault.KindOf(err)).Hinted("the new key is in %s.new; if the CA took it, rename that file", file)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fault.New(fault.Denied, "the CA took the new key, which is in %s.new: %v", file, err)
	}
	return nil
}

func (c *File) sealKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fault.New(fault.Bug, "%v", err)
	}
	var to []age.Recipient
	for _, name := range c.People() {
		r, err := age.ParseX25519Recipient(c.Custodians[name])
		if err != nil {
			return nil, fault.New(fault.Usage, "custodian %s: %v", name, err)
		}
		to = append(to, r)
	}
	var b bytes.Buffer
	arm := armor.NewWriter(&b)
	w, err := age.Encrypt(arm, to...)
	if err != nil {
		return nil, fault.New(fault.Bug, "%v", err)
	}
	if err := pem.Encode(w, &pem.Block{Type: "PRIVATE KEY", Bytes: der}); err != nil {
		return nil, fault.New(fault.Bug, "%v", err)
	}
	if err := w.Close(); err != nil {
		return nil, fault.New(fault.Bug, "%v", err)
	}
	if err := arm.Close(); err != nil {
		return nil, fault.New(fault.Bug, "%v", err)
	}
	return b.Bytes(), nil
}

// writeNew writes a file that must not exist yet, and sees it on disk.
func writeNew(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fault.New(fault.Denied, "%v", err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fault.New(fault.Full, "%s: %v", path, err)
	}
	return nil
}
