package deed

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/act/bench"
	"staunch/reach/act/vault"
	"staunch/tame"

	"github.com/mholt/acmez/v3/acme"
)

// RevokeOwn has a CA revoke certificates of a key that lies here. What it signs is made here, of the certificates that the order names.
type RevokeOwn struct{ With *act.RevokeOwnWith }

const (
	keyCompromise  = 1 // RFC 5280 section 5.3.1
	alreadyRevoked = "urn:ietf:params:acme:error:alreadyRevoked"
	maxOldFile     = 1 << 20
)

// Check tells whether the old key is still on this host, for the certificates that were named.
func (r RevokeOwn) Check(_ context.Context, b *bench.Bench) (act.Preview, error) {
	_, where, err := r.find(b)
	if err != nil {
		return act.Preview{}, err
	}
	at, err := url.Parse(r.With.Directory)
	if err != nil {
		return act.Preview{}, fault.New(fault.Usage, "directory: %v", err)
	}
	return act.Preview{
		Says: []string{
			fmt.Sprintf("ask %s to revoke %d certificates of key %.12s, signed by that key", at.Host, len(r.With.Certificates), r.With.SPKI),
			"the key lies " + where + " and stays there",
		},
		Warns: []string{"whoever still serves the key is refused by clients that check"},
		Undo:  "cannot be undone: a revocation is for ever", Finds: bench.Encode(map[string]string{"where": where}),
	}, nil
}

// find looks for the key in the host's store, and among the files that undo keeps: after a rollout the old one lies nowhere else.
func (r RevokeOwn) find(b *bench.Bench) (crypto.Signer, string, error) {
	for _, place := range []struct{ pattern, says string }{
		{filepath.Join(b.Places.State, "keys", "*.pem"), "in this host's key store"},
		{filepath.Join(filepath.Dir(bench.SavedOf(b.Places.State, "any")), "*", "*"), "among the old files that are kept for undo"},
	} {
		names, err := filepath.Glob(place.pattern)
		if err != nil {
			return nil, "", fault.New(fault.Bug, "%v", err)
		}
		for _, name := range names {
			if key := r.in(name); key != nil {
				return key, place.says, nil
			}
		}
	}
	return nil, "", fault.New(fault.NotFound, "key %.12s lies neither in this host's store nor among the files that are kept for undo", r.With.SPKI)
}

// in returns the key if it stands in a file; a file that cannot be read, or holds something else, does not.
func (r RevokeOwn) in(name string) crypto.Signer {
	info, err := os.Lstat(name)
	if err != nil || info.Mode().Type() != fs.FileMode(0) || info.Size() > maxOldFile {
		return nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue
		}
		key := vault.Signer(block.Bytes)
		if key == nil {
			continue
		}
		if got, err := vault.SPKI(key); err == nil && got == r.With.SPKI {
			return key
		}
	}
	return nil
}

// Do has the CA revoke them, each request signed by the key itself.
func (r RevokeOwn) Do(ctx context.Context, b *bench.Bench) error {
	key, _, err := r.find(b)
	if err != nil {
		return bench.Untouched(err)
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if r.With.Roots != "" {
		trust.RootCAs = x509.NewCertPool()
		trust.RootCAs.AppendCertsFromPEM([]byte(r.With.Roots))
	}
	transport := &http.Transport{TLSClientConfig: trust, Proxy: http.ProxyFromEnvironment}
	defer transport.CloseIdleConnections()
	ca := acme.Client{Directory: r.With.Directory, UserAgent: "staunch", HTTPClient: &http.Client{Transport: transport, Timeout: 30 * time.Second}}
	for _, der := range r.With.Certificates {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return fault.New(fault.Corrupt, "%v", err)
		}
		b.Tell("asking for the revocation of " + c.SerialNumber.Text(16))
		var problem acme.Problem
		err = ca.RevokeCertificate(ctx, acme.Account{}, c, key, keyCompromise)
		switch {
		case err == nil, errors.As(err, &problem) && problem.Type == alreadyRevoked:
		case problem.Type != "":
			return fault.New(fault.Denied, "the CA does not revoke %s: %s", c.SerialNumber.Text(16), tame.Line(problem.Detail))
		default:
			return fault.New(fault.Unsure, "asking for the revocation of %s: %s", c.SerialNumber.Text(16), tame.Line(err.Error()))
		}
	}
	return nil
}

// Verify has nothing but the CA's own answer: whether others see the revocation shows on the CA's list.
func (r RevokeOwn) Verify(_ context.Context, b *bench.Bench) (any, error) {
	if !b.Did {
		return nil, fault.New(fault.Conflict, "whether the CA took it is not known here; asked again it says so")
	}
	var serials []string
	for _, der := range r.With.Certificates {
		c, err := x509.ParseCertificate(bytes.Clone(der))
		if err != nil {
			return nil, fault.New(fault.Corrupt, "%v", err)
		}
		serials = append(serials, c.SerialNumber.Text(16))
	}
	return map[string][]string{"accepted": serials}, nil
}

// Undo refuses: a revocation has no way back.
func (r RevokeOwn) Undo(context.Context, *bench.Bench) (any, error) {
	return nil, bench.Denied("a revocation cannot be undone")
}
