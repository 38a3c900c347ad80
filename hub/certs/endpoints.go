package certs

import (
	"context"
	"crypto/x509"
	"encoding/json"
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

// LastLook is how often every endpoint is met before a revocation: several servers may stand behind one address, and one of them may be the old one.
func LastLook() cert.Watch { return cert.Watch{Times: 5, Every: time.Second} }

// known is what is known now of a plan's endpoints, and of those that the plan does not know.
type known struct {
	d    *Desk
	plan *plan.Plan

	mu    sync.Mutex
	sweep cert.Serving
}

// sweepAge is how long one look at the whole inventory does for the revocations of a plan: each key's own endpoints are looked at anew anyhow.
const sweepAge = 10 * time.Minute

// serving is every point that may serve a key now: whatever carries a name of the plan's endpoints or of the certificates to be revoked, and whatever else
// in the inventory was just seen with the key, under whatever name.
func (k *known) serving(ctx context.Context, spki string) ([]cert.Point, error) {
	all, unseen := Points(ctx, k.d.Fleet)
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
func (d *Desk) addresses(ctx context.Context, name string) ([]cert.Point, error) {
	var one fleet.Fleet
	for _, e := range d.Fleet.Endpoints {
		if e.Name == name {
			one.Endpoints = append(one.Endpoints, e)
		}
	}
	out, _ := Points(ctx, &one) // that a name does not resolve for a moment is told by the revocation's own look
	return out, nil
}
