package cli

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"staunch/mend/cert"
	"staunch/mend/cert/errand"
	"staunch/mend/cert/replace"
	"staunch/reach/fleet"
	"staunch/steer/plan"
)

// lastLook is how often every endpoint is met before a revocation: several servers may stand behind one address, and one of them may be the old one.
func lastLook() cert.Watch { return cert.Watch{Times: 5, Every: time.Second} }

// known is what is known now of a plan's endpoints, and of those that the plan does not know.
type known struct {
	d    *desk
	plan *plan.Plan

	mu    sync.Mutex
	sweep cert.Serving
}

// sweepAge is how long one look at the whole inventory does for the revocations of a plan: each key's own endpoints are looked at anew anyhow.
const sweepAge = 10 * time.Minute

// serving is every point that may serve a key now: whatever carries a name of the plan's endpoints or of the certificates to be revoked, and whatever else
// in the inventory was just seen with the key, under whatever name.
func (k *known) serving(ctx context.Context, spki string) ([]cert.Point, error) {
	all, unseen := points(ctx, k.d.Fleet)
	meant := k.key(spki)
	out := replace.Endpoints(k.d.Fleet, all, meant)
	names := map[string]bool{}
	for _, p := range k.plan.Keys {
		if p.SPKI == spki {
			for _, e := range p.Endpoints {
				name, _, _ := strings.Cut(e, "@")
				names[name] = true
			}
		}
	}
	for _, p := range all {
		if names[p.Name] && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	for _, u := range unseen { // a name that no longer resolves is an endpoint that cannot be seen, not one less
		gone := cert.Point{Name: u.Where, Address: "unresolved"}
		if names[u.Where] || len(replace.Endpoints(k.d.Fleet, []cert.Point{gone}, meant)) > 0 {
			out = append(out, gone)
		}
	}
	for _, s := range k.swept(ctx, all) {
		if slices.Contains(s.Keys, spki) && !slices.Contains(out, s.Point) {
			out = append(out, s.Point)
		}
	}
	return out, ctx.Err()
}

// key is as much of an old key as a plan tells: its certificates.
func (k *known) key(spki string) cert.Key {
	out := cert.Key{SPKI: spki}
	for _, s := range k.plan.Steps {
		var at replace.At
		if s.Kind != plan.Revoke || len(s.Targets) == 0 || s.Targets[0].SPKI != spki || json.Unmarshal(s.With, &at) != nil {
			continue
		}
		for _, der := range at.Certificates {
			if c, err := x509.ParseCertificate(der); err == nil {
				out.Certificates = append(out.Certificates, cert.Certificate{Names: c.DNSNames})
			}
		}
	}
	return out
}

// swept looks at the whole inventory once, and again when that is too old.
func (k *known) swept(ctx context.Context, all []cert.Point) []cert.Sighting {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.sweep.Ended()) > sweepAge {
		k.sweep = cert.Observe(ctx, all, []cert.Looker{errand.Here(k.d.Machine)}, cert.Watch{Times: 1, Timeout: 5 * time.Second, Workers: 64})
	}
	return k.sweep.Sightings()
}

// addresses is where one endpoint's name leads at this moment.
func (d *desk) addresses(ctx context.Context, name string) ([]cert.Point, error) {
	var one fleet.Fleet
	for _, e := range d.Fleet.Endpoints {
		if e.Name == name {
			one.Endpoints = append(one.Endpoints, e)
		}
	}
	out, _ := points(ctx, &one) // that a name does not resolve for a moment is told by the revocation's own look
	return out, nil
}

// means tells whether a person's word names a point: NAME@ADDRESS:PORT, in whatever case, with or without a closing dot, and however an IPv6 address is spelt.
func means(word string, p cert.Point) bool {
	name, address, _ := strings.Cut(word, "@")
	address, asked, _ := strings.Cut(address, " ")
	if asked != "" && asked != "("+p.SNI+")" {
		return false
	}
	return sameName(name, p.Name) && (address == p.Address || sameAddress(address, p.Address))
}

func sameName(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}

func sameAddress(a, b string) bool {
	x, err := netip.ParseAddrPort(a)
	if err != nil {
		return false
	}
	y, err := netip.ParseAddrPort(b)
	return err == nil && x.Port() == y.Port() && x.Addr().Unmap() == y.Addr().Unmap()
}
