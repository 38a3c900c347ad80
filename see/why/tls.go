package why

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"staunch/tame"
)

// TLSDetail is what the handshake showed.
type TLSDetail struct {
	Version  string    `json:"version,omitempty"`
	Suite    string    `json:"suite,omitempty"`
	ALPN     string    `json:"alpn,omitempty"`
	Subject  string    `json:"subject,omitempty"`
	Names    []string  `json:"names,omitempty"`
	Issuer   string    `json:"issuer,omitempty"`
	NotAfter time.Time `json:"not_after,omitzero"`
	SPKI     string    `json:"spki_sha256,omitempty"`
	Problems []string  `json:"problems,omitempty"`
}

// slowTLS is where a handshake is no longer explained by distance (two round trips around the globe).
const slowTLS = 1500 * time.Millisecond

// tlsLayer shakes hands on conn; the certificate is judged by us afterwards, so that its problem can be named.
func (w *walk) tlsLayer(ctx context.Context, conn net.Conn) (Layer, *tls.Conn) {
	layer := Layer{Layer: "tls", Check: w.tlsCheck()}
	if err := conn.SetDeadline(time.Now().Add(2 * w.q.Timeout)); err != nil {
		return w.tlsFailed(layer, err, 0), nil
	}
	began := time.Now()
	client := tls.Client(conn, &tls.Config{
		ServerName: w.target.host, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS10, CipherSuites: everySuite(),
		InsecureSkipVerify: true, // judged below, with a reason that a person understands
	})
	err := client.HandshakeContext(ctx)
	took := time.Since(began)
	layer.TookMS = ms(took)
	if err != nil {
		return w.tlsFailed(layer, err, took), nil
	}
	state := client.ConnectionState()
	detail := describeTLS(state)
	problems, verdictSays := w.certificateProblems(state)
	detail.Problems = problems
	layer.Detail = detail
	layer.Says = fmt.Sprintf("%s, certificate for %s until %s", detail.Version, firstName(detail), detail.NotAfter.Format(time.DateOnly))
	layer.State = OK
	for _, p := range problems {
		layer.Lines = append(layer.Lines, Line{State: Failed, Says: p, Check: layer.Check})
	}
	switch {
	case len(problems) > 0:
		layer.State = Failed
		layer.Says = problems[0]
		w.fail(Certificate, verdictSays, "Do not type a password there. The site's owner has to renew or mend the certificate; also check this device's clock.")
	case took > slowTLS:
		layer.State = Slowly
		layer.Says += fmt.Sprintf("; the handshake took %.1f s, so the server is busy or far away", took.Seconds())
	case time.Until(detail.NotAfter) < 14*24*time.Hour:
		layer.Lines = append(layer.Lines, Line{State: Slowly, Says: fmt.Sprintf("the certificate ends in %.0f days", time.Until(detail.NotAfter).Hours()/24), Check: layer.Check})
	}
	return layer, client
}

func (w *walk) tlsCheck() string {
	return fmt.Sprintf("openssl s_client -connect %s -servername %s </dev/null", net.JoinHostPort(w.target.host, fmt.Sprint(w.target.port)), w.target.host)
}

func (w *walk) tlsFailed(layer Layer, err error, took time.Duration) Layer {
	layer.State = Failed
	var record tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case isTimeout(err):
		layer.Says = fmt.Sprintf("connected, but no handshake within %.0f s", took.Seconds())
		w.fail(Overloaded, "The site accepts connections, but does not get round to the encryption: it is overloaded, or something in between swallows the answer.",
			"Try again in a few minutes.")
	case errors.As(err, &record):
		layer.Says = "what answers there does not speak TLS"
		w.fail(TLSBroken, "The site answers, but not with encryption: the link says https, the port speaks something else.", "Try the link with http, or ask the site's owner.")
	case errors.As(err, &alert):
		layer.Says = "the server refuses the handshake: " + tame.Short(alert.Error(), 2048)
		w.fail(TLSBroken, "The site refuses to agree on an encryption: wrong name, or too old or too new for us.", "The site's owner has to look at its TLS settings.")
	default:
		layer.Says = "the handshake broke off: " + plainNet(err)
		w.fail(TLSBroken, "The connection was cut while agreeing on encryption: often a firewall, or a server that is misconfigured.", "Try from another network to tell the two apart.")
	}
	return layer
}

func everySuite() []uint16 {
	var out []uint16
	for _, s := range tls.CipherSuites() {
		out = append(out, s.ID)
	}
	for _, s := range tls.InsecureCipherSuites() {
		out = append(out, s.ID)
	}
	return out
}

func describeTLS(state tls.ConnectionState) TLSDetail {
	d := TLSDetail{Version: tls.VersionName(state.Version), Suite: tls.CipherSuiteName(state.CipherSuite), ALPN: state.NegotiatedProtocol}
	if len(state.PeerCertificates) == 0 {
		return d
	}
	leaf := state.PeerCertificates[0]
	spki := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	d.Subject, d.Issuer = tame.Short(leaf.Subject.String(), 2048), tame.Short(leaf.Issuer.String(), 2048)
	d.NotAfter, d.SPKI = leaf.NotAfter.UTC(), hex.EncodeToString(spki[:])
	for _, name := range leaf.DNSNames[:min(len(leaf.DNSNames), 100)] {
		d.Names = append(d.Names, tame.Short(name, 2048))
	}
	return d
}

func firstName(d TLSDetail) string {
	if len(d.Names) > 0 {
		return d.Names[0]
	}
	return d.Subject
}

// certificateProblems returns every problem (worst first) and the sentence for the verdict.
func (w *walk) certificateProblems(state tls.ConnectionState) (problems []string, says string) {
	if len(state.PeerCertificates) == 0 {
		return []string{"the server shows no certificate"}, "The site shows no certificate: it cannot prove who it is."
	}
	leaf, now := state.PeerCertificates[0], time.Now()
	add := func(problem, plain string) {
		problems = append(problems, problem)
		if says == "" {
			says = plain
		}
	}
	if now.After(leaf.NotAfter) {
		add("the certificate ended on "+leaf.NotAfter.Format(time.DateOnly), "The site's certificate has run out (on "+leaf.NotAfter.Format(time.DateOnly)+"): browsers refuse it.")
	}
	if now.Before(leaf.NotBefore) {
		add("the certificate begins on "+leaf.NotBefore.Format(time.DateOnly)+" only", "The site's certificate is not valid yet; or this device's clock is wrong.")
	}
	if err := leaf.VerifyHostname(w.target.host); err != nil {
		add("the certificate is for "+shortNames(leaf)+", not for "+tame.Short(w.target.host, 2048), "The site shows a certificate for another name: browsers refuse it.")
	}
	if err := w.trust(state); err != nil {
		add(err.Error(), "The site's certificate comes from nobody that this machine trusts: browsers refuse it.")
	}
	return problems, says
}

func shortNames(leaf *x509.Certificate) string {
	names := leaf.DNSNames
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no name"
	}
	if len(names) > 3 {
		return tame.Short(strings.Join(names[:3], ", "), 2048) + fmt.Sprintf(" and %d more", len(names)-3)
	}
	return tame.Short(strings.Join(names, ", "), 2048)
}

// trust checks the chain at a moment when the leaf is valid, so that expiry and distrust are told apart.
func (w *walk) trust(state tls.ConnectionState) error {
	leaf := state.PeerCertificates[0]
	at := time.Now()
	if at.After(leaf.NotAfter) {
		at = leaf.NotAfter.Add(-time.Second)
	}
	if at.Before(leaf.NotBefore) {
		at = leaf.NotBefore.Add(time.Second)
	}
	pool := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		pool.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: w.q.CAs, Intermediates: pool, CurrentTime: at})
	var unknown x509.UnknownAuthorityError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unknown) && leaf.Issuer.String() == leaf.Subject.String():
		return errors.New("the certificate is signed by itself")
	case errors.As(err, &unknown) && len(state.PeerCertificates) == 1:
		return errors.New("the issuer " + tame.Short(leaf.Issuer.String(), 2048) + " is not trusted here, or the server forgot to send the certificate in between")
	case errors.As(err, &unknown):
		return errors.New("the issuer " + tame.Short(leaf.Issuer.String(), 2048) + " is not trusted here")
	}
	return errors.New("the certificate chain does not hold: " + tame.Short(err.Error(), 2048))
}
