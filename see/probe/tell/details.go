package tell

import (
	"fmt"
	"strings"

	"staunch/ink"
	"staunch/see/probe"
	"staunch/tame"
)

// Details prints everything that was seen of one address.
func Details(w *ink.Lines, r probe.Result) {
	w.Say("\n== %s (%s)", tame.Line(r.Target), whereOf(r))
	if r.SNI != "" {
		w.Say("asked for      %s", tame.Line(r.SNI))
	}
	if r.Error != "" {
		w.Say("not seen       %s", tame.Line(r.Error))
	}
	w.Say("heartbleed     %s: %s", heartbleedOf(r), tame.Line(r.Heartbleed.Reason))
	for _, f := range r.Flaws {
		w.Say("%-14s %s: %s", f.Name, strings.ReplaceAll(f.Verdict, "_", " "), tame.Line(f.Reason))
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
	w.Say("cost           %d connections, %d ms", r.Connections, r.TookMS)
}

func protocolDetails(w *ink.Lines, p probe.Protocol) {
	switch {
	case !p.Offered && p.Unsure != "":
		w.Say("%-14s unknown: %s", p.Version, tame.Line(p.Unsure))
	case !p.Offered:
		w.Say("%-14s not offered", p.Version)
	default:
		whose := ""
		if len(p.Suites) > 1 {
			whose = ", the client's order wins"
			if p.ServerPreference {
				whose = ", the server's order wins"
			}
		}
		w.Say("%-14s %d suites%s", p.Version, len(p.Suites), whose)
		for _, s := range p.Suites {
			w.Say("  %-8s %s", s.ID, s.Name)
		}
		if p.Unsure != "" {
			w.Say("  incomplete: %s", tame.Line(p.Unsure))
		}
	}
}

func namedDetails(w *ink.Lines, title string, list []probe.Named) {
	if len(list) == 0 {
		return
	}
	var names []string
	for _, n := range list {
		names = append(names, n.Name)
	}
	w.Say("%-14s %s", title, strings.Join(names, " "))
}

func optionDetails(w *ink.Lines, r probe.Result) {
	if len(r.ALPN) > 0 {
		w.Say("ALPN           %s", tame.Line(strings.Join(r.ALPN, " ")))
	}
	if x := r.Resumption; x != nil {
		w.Say("resumption     tickets %s, session ids %s, TLS 1.3 %s", yes(x.Tickets), yes(x.SessionIDs), yes(x.TLS13))
		if x.Unsure != "" && !x.SessionIDs {
			w.Say("  unsure       %s", tame.Line(x.Unsure))
		}
	}
	if x := r.Renegotiate; x != nil {
		w.Say("renegotiation  secure %s, started by the client: %s", yes(x.Secure), x.ClientInitiated)
	}
	if r.Compression != nil {
		w.Say("compression    %s", yes(*r.Compression))
	}
	if x := r.HSTS; x != nil {
		says := "not sent"
		if x.Present {
			says = fmt.Sprintf("%d seconds (%s)", x.MaxAge, tame.Line(x.Header))
		}
		w.Say("HSTS           %s", says)
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func certificateDetails(w *ink.Lines, r probe.Result) {
	c := r.Certificate
	if c == nil {
		return
	}
	w.Say("certificate    %s", tame.Line(c.Subject))
	w.Say("  names        %s", tame.Line(strings.Join(c.Names, " ")))
	w.Say("  issuer       %s", tame.Line(c.Issuer))
	w.Say("  serial       %s", c.Serial)
	w.Say("  valid        %s to %s", c.NotBefore.Format("2006-01-02"), c.NotAfter.Format("2006-01-02"))
	w.Say("  key          %s %d, SPKI SHA-256 %s", c.Key.Type, c.Key.Bits, c.SPKISHA256)
	w.Say("  signature    %s, %d timestamps (SCT)", c.Signature, c.SCTs)
	w.Say("  trusted      %s", yes(c.Trusted))
	for _, p := range c.Problems {
		w.Say("  problem      %s", tame.Line(p))
	}
	w.Say("  revocation   %s: %s", c.Revocation.State, tame.Line(c.Revocation.Says))
	if c.Staple != "" {
		w.Say("  staple       %s", tame.Line(c.Staple))
	}
	for i, l := range c.Chain {
		w.Say("  chain %d      %s (%s %d, %s)", i, tame.Line(l.Subject), l.Key.Type, l.Key.Bits, l.Signature)
	}
	if r.ExpectSPKI != "" {
		w.Say("  expected key %s", r.ExpectSPKI)
	}
}

func gradeDetails(w *ink.Lines, r probe.Result) {
	g := r.Grade
	if g == nil {
		return
	}
	w.Say("grade          %s, score %d: protocol %d, key exchange %d, cipher %d", letterOf(r), g.Score, g.Protocol, g.KeyExchange, g.Cipher)
	for _, c := range g.Caps {
		w.Say("  %-2s because   %s", c.Letter, tame.Line(c.Because))
	}
	for _, x := range g.Warnings {
		w.Say("  warning      %s", x.Because)
	}
	for _, n := range g.Next {
		w.Say("  next letter  %s", n)
	}
}
