package certs

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"staunch/fault"
	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/mend/cert/errand"
	"staunch/mend/cert/setup"
	"staunch/reach/host"
	"staunch/see/probe"
)

// vantage looks from a host of the fleet: what is met inside the network, or in another place.
func (d *Desk) vantage(name string) cert.Looker {
	return cert.Looker{From: name, See: func(ctx context.Context, p cert.Point) ([]string, error) {
		where, known := d.Fleet.Host(name)
		if !known {
			return nil, fault.New(fault.NotFound, "%s is not in the fleet any more", name)
		}
		at, err := d.Open(ctx, where)
		if err != nil {
			return nil, err
		}
		defer at.Close() // a look changes nothing
		return keysFrom(ctx, at, p)
	}}
}

// Lookers are this machine and the hosts that certs.yaml selects.
func (d *Desk) Lookers(c *setup.File) ([]cert.Looker, error) {
	out := []cert.Looker{errand.Here(d.Machine)}
	hosts, err := c.From(d.Fleet)
	for _, h := range hosts {
		out = append(out, d.vantage(h))
	}
	return out, err
}

func keysFrom(ctx context.Context, at host.Host, p cert.Point) ([]string, error) {
	patience := int64(0) // the probe's own
	if p.StartTLS != "" {
		patience = 20000 // a greeting may be late
	}
	question, err := json.Marshal(probe.Question{
		TimeoutMS: patience,
		Targets:   []string{p.Address}, SNI: p.SNI, StartTLS: cmp.Or(p.StartTLS, "none"), Domain: p.Domain, Mode: probe.ModeKeys, Offline: true,
	})
	if err != nil {
		return nil, fault.New(fault.Bug, "%v", err)
	}
	a, err := at.Look(ctx, host.Question{Probe: question}, nil)
	if err != nil {
		return nil, err
	}
	var results []probe.Result
	if err := json.Unmarshal(a.Probe, &results); err != nil || len(results) != 1 {
		return nil, fault.New(fault.Corrupt, "%s told of %s what cannot be read", at.Name(), p)
	}
	if says := results[0].Error; says != "" {
		return nil, fault.New(fault.Unreachable, "%s", says)
	}
	return results[0].Keys, nil
}

// history is what plans of ours ordered before.
type history struct {
	past    map[string][]acme.Past      // what still counts towards the CAs' limits, by CA
	ordered map[string]acme.Predecessor // certificates (SHA-256 of their DER) by the account that ordered them
}

// history reads every order that is stored.
func (d *Desk) history(ctx context.Context) (*history, error) {
	h := &history{past: map[string][]acme.Past{}, ordered: map[string]acme.Predecessor{}}
	replaced := map[string]bool{}
	for doc, err := range d.Store.List(ctx, document) {
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(doc.ID, "order/") {
			continue
		}
		var o acme.Order
		if err := json.Unmarshal(doc.Body, &o); err != nil {
			return nil, fault.New(fault.Corrupt, "what is stored as %s cannot be read: %v", doc.ID, err)
		}
		if !o.Opened.IsZero() && !o.Replacing {
			h.past[o.CA] = append(h.past[o.CA], acme.Past{Account: o.Place, Names: o.Names, At: o.Opened})
		}
		if o.Replacing {
			replaced[sumOf(o.Replaces)] = true
		}
		if leaf, err := acme.Leaf([]byte(o.Chain)); err == nil {
			h.ordered[sumOf(leaf.Raw)] = acme.Predecessor{CA: o.CA, Account: o.Place}
		}
	}
	for id, p := range h.ordered {
		p.Replaced = replaced[id]
		h.ordered[id] = p
	}
	return h, nil
}

func sumOf(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}
