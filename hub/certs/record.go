package certs

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"slices"
	"strings"

	"staunch/fault"
	"staunch/mend/cert"
	"staunch/mend/cert/acme"
	"staunch/mend/cert/errand"
	"staunch/mend/cert/replace"
	"staunch/steer/plan"
)

// Errand is what is done for certificates without a plan: it reads and writes the ledger, and meets nobody.
func (d *Desk) Errand() *errand.Desk {
	return &errand.Desk{Shelf: shelf{d.Store}, Now: d.Now}
}

// Waiting lists the new keys that have their certificates and whose old keys are among these.
func (d *Desk) Waiting(ctx context.Context, list []cert.Key) ([]replace.Made, error) {
	e := d.Errand()
	newest := map[string]replace.Made{}
	var order []string
	for doc, err := range d.Store.List(ctx, document) {
		if err != nil {
			return nil, err
		}
		name, is := strings.CutPrefix(doc.ID, "made/")
		if !is {
			continue
		}
		m, err := e.Made(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, k := range list {
			if m.Chain != "" && m.Old == k.SPKI {
				key := m.Old + " " + m.Edge
				if _, had := newest[key]; !had {
					order = append(order, key)
				}
				if before := newest[key]; before.Name < m.Name {
					newest[key] = m
				}
			}
		}
	}
	var out []replace.Made
	for _, key := range order {
		out = append(out, newest[key])
	}
	return out, nil
}

// OldKeys maps each key that was replaced to the name of the new one.
func (d *Desk) OldKeys(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	for doc, err := range d.Store.List(ctx, document) {
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(doc.ID, "made/") {
			continue
		}
		var m replace.Made
		if err := json.Unmarshal(doc.Body, &m); err != nil {
			return nil, fault.New(fault.Corrupt, "what is stored as %s cannot be read: %v", doc.ID, err)
		}
		if m.Old != "" && m.Chain != "" {
			out[m.Old] = m.Name
		}
	}
	return out, nil
}

// OrderedAt maps certificates (SHA-256 of the leaf) to the CA that we ordered them from.
func (d *Desk) OrderedAt(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	for doc, err := range d.Store.List(ctx, document) {
		if err != nil {
			return nil, err
		}
		var o acme.Order
		if !strings.HasPrefix(doc.ID, "order/") {
			continue
		}
		if err := json.Unmarshal(doc.Body, &o); err != nil {
			return nil, fault.New(fault.Corrupt, "what is stored as %s cannot be read: %v", doc.ID, err)
		}
		if leaf, err := acme.Leaf([]byte(o.Chain)); err == nil {
			out[cert.SHA256(leaf)] = o.CA
		}
	}
	return out, nil
}

// Answered is what the CAs said themselves: a promise, not yet a revocation that anybody else can see.
func (d *Desk) Answered(ctx context.Context, leaves [][]byte) ([]acme.Accepted, error) {
	var out []acme.Accepted
	asked := map[string]bool{}
	for _, der := range leaves {
		c, err := x509.ParseCertificate(der)
		if err != nil || asked[cert.SPKI(c)] {
			continue // what cannot be read is told by the look at its list
		}
		asked[cert.SPKI(c)] = true
		list, err := d.Errand().Accepted(ctx, cert.SPKI(c))
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

// RevokedLeaves finds the certificates that plans of ours revoke, of one key or name or ("") all, and who issued them: neither is served
// anywhere any more.
func (d *Desk) RevokedLeaves(ctx context.Context, what string) (leaves, issuers [][]byte, err error) {
	for doc, err := range d.Store.List(ctx, "plan") {
		if err != nil {
			return nil, nil, err
		}
		sealed, err := plan.Open(doc.Body)
		if err != nil {
			return nil, nil, err
		}
		for _, s := range sealed.Plan().Steps {
			var at replace.At
			if json.Unmarshal(s.With, &at) != nil {
				continue // a step of another kind
			}
			issuers = append(issuers, at.Issuers...)
			for _, der := range at.Certificates {
				if s.Kind == plan.Revoke && meant(der, s.Targets[0].SPKI, what) {
					leaves = append(leaves, der)
				}
			}
		}
	}
	return leaves, issuers, nil
}

// meant tells whether a person's word names a key or one of its certificates; "" names all.
func meant(der []byte, spki, what string) bool {
	leaf, err := x509.ParseCertificate(der)
	return err == nil && (what == "" || len(what) >= 6 && strings.HasPrefix(spki, strings.ToLower(what)) || slices.Contains(leaf.DNSNames, what))
}

// Late lists the endpoints that served an old key when a plan looked.
func (d *Desk) Late(ctx context.Context, plan string) ([]errand.Late, error) {
	var out []errand.Late
	for doc, err := range d.Store.List(ctx, document) {
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(doc.ID, errand.LateDoc(plan)) {
			continue
		}
		var l errand.Late
		if err := json.Unmarshal(doc.Body, &l); err != nil {
			return nil, fault.New(fault.Corrupt, "what is stored as %s cannot be read: %v", doc.ID, err)
		}
		out = append(out, l)
	}
	return out, nil
}
