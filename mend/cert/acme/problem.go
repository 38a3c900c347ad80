package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"

	"staunch/fault"
	"staunch/tame"

	"github.com/mholt/acmez/v3/acme"
)

// Problem types of RFC 8555 section 6.7 and RFC 9773 section 5 that lead to different next steps.
const (
	rateLimited     = "urn:ietf:params:acme:error:rateLimited"
	alreadyRevoked  = "urn:ietf:params:acme:error:alreadyRevoked"
	alreadyReplaced = "urn:ietf:params:acme:error:alreadyReplaced"
	unauthorized    = "urn:ietf:params:acme:error:unauthorized"
	serverInternal  = "urn:ietf:params:acme:error:serverInternal"
	badPublicKey    = "urn:ietf:params:acme:error:badPublicKey"
	malformed       = "urn:ietf:params:acme:error:malformed"
)

// failed turns what the CA or the network said into a fault whose kind tells what to do:
// Full wait (rate limit), Denied the CA refuses, Unreachable try later or the next CA, Unsure it may have happened.
func (c *Client) failed(doing string, err error) error {
	var problem acme.Problem
	if !errors.As(err, &problem) {
		if errors.Is(err, context.Canceled) {
			return fault.New(fault.Unsure, "%s at %s was interrupted", doing, c.CA.Name).Caused(context.Canceled)
		}
		var n net.Error
		if errors.Is(err, context.DeadlineExceeded) || (errors.As(err, &n) && n.Timeout()) {
			return fault.New(fault.Unsure, "%s at %s: no answer in time", doing, c.CA.Name).Hinted("look at the order again before doing anything twice")
		}
		return fault.New(fault.Unreachable, "%s at %s: %v", doing, c.CA.Name, err)
	}
	kind, hint := fault.Denied, ""
	switch {
	case problem.Type == rateLimited || problem.Status == http.StatusTooManyRequests:
		kind, hint = fault.Full, "the CA limits how many may be ordered: wait, or use another account or CA; revoking resets nothing"
	case problem.Type == badPublicKey:
		hint = "the CA has this key on its block list, or does not take its type: make a new key"
	case problem.Type == serverInternal || problem.Status >= 500 && problem.Status != http.StatusNotImplemented:
		kind, hint = fault.Unreachable, "the CA has trouble of its own: try later, or the next CA of the order"
	case problem.Status == http.StatusNotImplemented:
		kind, hint = fault.Unsupported, "this CA cannot do that"
	}
	f := fault.New(kind, "%s at %s: %s", doing, c.CA.Name, says(problem)).Hinted("%s", hint)
	if at, said := c.comeback.said(); said && (kind == fault.Full || kind == fault.Unreachable) {
		return f.Caused(Later{at})
	}
	return f
}

// says is the CA's own text, with what it says of single names.
func says(p acme.Problem) string {
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	if text == "" {
		text = p.Type
	}
	for i, sub := range p.Subproblems {
		if i == 5 {
			text += "; ..."
			break
		}
		text += "; " + sub.Identifier.Value + ": " + sub.Detail
	}
	return tame.Short(text, 2000)
}

func problemType(err error) string {
	var problem acme.Problem
	if errors.As(err, &problem) {
		return problem.Type
	}
	return ""
}

func problemStatus(err error) int {
	var problem acme.Problem
	if errors.As(err, &problem) {
		return problem.Status
	}
	return 0
}

func tlsConfig(roots *x509.CertPool) *tls.Config {
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}
