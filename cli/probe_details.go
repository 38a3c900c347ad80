package cli

import (
	"fmt"
	"strings"

	"staunch/see/probe"
	"staunch/tame"
)

// probeDetails prints everything that was seen of one address.
func probeDetails(w *lineWriter, r probe.Result) {
	w.line("\n== %s (%s)", tame.Line(r.Target), whereOf(r))
	if r.SNI != "" {
		w.line("asked for      %s", tame.Line(r.SNI))
	}
	if r.Error != "" {
		w.line("not seen       %s", tame.Line(r.Error))
	}
	w.line("heartbleed     %s: %s", heartbleedOf(r), tame.Line(r.Heartbleed.Reason))
	for _, f := range r.Flaws {
		w.line("%-14s %s: %s", f.Name, strings.ReplaceAll(f.Verdict, "_", " "), tame.Line(f.Reason))
	}
	for _, p := range r.Protocols {
		protocolDetails(w, p)
	}
	namedDetails(w, "groups", r.Groups)
	namedDetails(w, "signatures", r.Signatures)
	namedDetails(w, "  in TLS 1.3", r.Modern)
	optionDetails(w, r)
	certificateDetails(w, r)
	gradeDetails(w, r)
	w.line("cost           %d connections, %d ms", r.Connections, r.TookMS)
}

func protocolDetails(w *lineWriter, p probe.Protocol) {
	switch {
	case !p.Offered && p.Unsure != "":
		w.line("%-14s unknown: %s", p.Version, tame.Line(p.Unsure))
	case !p.Offered:
		w.line("%-14s not offered", p.Version)
	default:
		whose := ""
		if len(p.Suites) > 1 {
			whose = ", the client's order wins"
			if p.ServerPreference {
				whose = ", the server's order wins"
			}
		}
		w.line("%-14s %d suites%s", p.Version, len(p.Suites), whose)
		for _, s := range p.Suites {
			w.line("  %-8s %s", s.ID, s.Name)
		}
		if p.Unsure != "" {
			w.line("  incomplete: %s", tame.Line(p.Unsure))
		}
	}
}

func namedDetails(w *lineWriter, title string, list []probe.Named) {
	if len(list) == 0 {
		return
	}
	var names []string
	for _, n := range list {
		names = append(names, n.Name)
	}
	w.line("%-14s %s", title, strings.Join(names, " "))
}

func optionDetails(w *lineWriter, r probe.Result) {
	if len(r.ALPN) > 0 {
		w.line("ALPN           %s", tame.Line(strings.Join(r.ALPN, " ")))
	}
	if x := r.Resumption; x != nil {
		w.line("resumption     tickets %s, session ids %s, TLS 1.3 %s", yes(x.Tickets), yes(x.SessionIDs), yes(x.TLS13))
		if x.Unsure != "" && !x.SessionIDs {
			w.line("  unsure       %s", tame.Line(x.Unsure))
		}
	}
	if x := r.Renegotiate; x != nil {
		w.line("renegotiation  secure %s, started by the client: %s", yes(x.Secure), x.ClientInitiated)
	}
	if r.Compression != nil {
		w.line("compression    %s", yes(*r.Compression))
	}
	if x := r.HSTS; x != nil {
		says := "not sent"
		if x.Present {
			says = fmt.Sprintf("%d seconds (%s)", x.MaxAge, tame.Line(x.Header))
		}
		w.line("HSTS           %s", says)
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func certificateDetails(w *lineWriter, r probe.Result) {
	c := r.Certificate
	if c == nil {
		return
	}
	w.line("certificate    %s", tame.Line(c.Subject))
	w.line("  names        %s", tame.Line(strings.Join(c.Names, " ")))
	w.line("  issuer       %s", tame.Line(c.Issuer))
	w.line("  serial       %s", c.Serial)
	w.line("  valid        %s to %s", c.NotBefore.Format("2006-01-02"), c.NotAfter.Format("2006-01-02"))
	w.line("  key          %s %d, SPKI SHA-256 %s", c.Key.Type, c.Key.Bits, c.SPKISHA256)
	w.line("  signature    %s, %d timestamps (SCT)", c.Signature, c.SCTs)
	w.line("  trusted      %s", yes(c.Trusted))
	for _, p := range c.Problems {
		w.line("  problem      %s", tame.Line(p))
	}
	w.line("  revocation   %s: %s", c.Revocation.State, tame.Line(c.Revocation.Says))
	if c.Staple != "" {
		w.line("  staple       %s", tame.Line(c.Staple))
	}
	for i, l := range c.Chain {
		w.line("  chain %d      %s (%s %d, %s)", i, tame.Line(l.Subject), l.Key.Type, l.Key.Bits, l.Signature)
	}
	if r.ExpectSPKI != "" {
		w.line("  expected key %s", r.ExpectSPKI)
	}
}

func gradeDetails(w *lineWriter, r probe.Result) {
	g := r.Grade
	if g == nil {
		return
	}
	w.line("grade          %s, score %d: protocol %d, key exchange %d, cipher %d", letterOf(r), g.Score, g.Protocol, g.KeyExchange, g.Cipher)
	for _, c := range g.Caps {
		w.line("  %-2s because   %s", c.Letter, tame.Line(c.Because))
	}
	for _, x := range g.Warnings {
		w.line("  warning      %s", x.Because)
	}
	for _, n := range g.Next {
		w.line("  next letter  %s", n)
	}
}
