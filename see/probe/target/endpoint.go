// Package target reads what a person names as places to look at, and finds every address of each; what was not named is refused.
package target

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"

	"staunch/fault"
)

// Endpoint is one address and port, with the name to ask it for.
type Endpoint struct {
	Target   string     `json:"target,omitempty"` // as a person wrote it
	Address  netip.Addr `json:"address"`
	Port     uint16     `json:"port"`
	Name     string     `json:"name,omitempty"` // the host's name; "" for an address alone
	SNI      string     `json:"sni,omitempty"`
	StartTLS string     `json:"starttls,omitempty"` // a protocol of see/probe/starttls, or ""
	Domain   string     `json:"domain,omitempty"`   // XMPP
	Ranged   bool       `json:"-"`                  // named by a range: a closed port is no endpoint
}

// Asked is what a person named.
type Asked struct {
	Targets  []string // host, host:port, URL, [v6]:port, or CIDR:ports inside Allow
	Allow    []string // CIDRs inside which ranges may be named
	StartTLS string   // protocol, "none", or "": by scheme and well-known port
	Domain   string   // XMPP domain, when it is not the host's name
	SNI      string   // name to ask for, when it is not the target's host
}

// AddrPort is where to connect to.
func (e Endpoint) AddrPort() netip.AddrPort { return netip.AddrPortFrom(e.Address, e.Port) }

// String is the address with its name.
func (e Endpoint) String() string {
	if e.Name == "" {
		return e.AddrPort().String()
	}
	return e.Name + " at " + e.AddrPort().String()
}

// Resolve asks DNS for every address of every target, in the order given, each address once per name and port.
// A name that cannot be resolved comes back as an error beside the others: it is an address that could not be seen.
func Resolve(ctx context.Context, q Asked) ([]Endpoint, map[string]error, error) {
	return resolve(ctx, q, net.DefaultResolver)
}

func resolve(ctx context.Context, q Asked, resolver *net.Resolver) ([]Endpoint, map[string]error, error) {
	targets, err := parseTargets(q)
	if err != nil {
		return nil, nil, err
	}
	var all []Endpoint
	failed := map[string]error{}
	seen := map[Endpoint]bool{}
	for _, t := range targets {
		addresses, err := t.addresses(ctx, resolver)
		if err != nil {
			failed[t.text] = err
			continue
		}
		for _, a := range addresses {
			e := t.endpoint(a, q)
			key := e
			key.Target = ""
			if !seen[key] {
				seen[key] = true
				all = append(all, e)
			}
		}
	}
	return all, failed, nil
}

func (t target) addresses(ctx context.Context, resolver *net.Resolver) ([]netip.Addr, error) {
	if t.address.IsValid() {
		return []netip.Addr{t.address}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	found, err := resolver.LookupNetIP(ctx, "ip", t.host)
	if err != nil {
		return nil, fault.New(fault.NotFound, "the name %s has no address that DNS would tell us", t.host).Hinted("%v", err)
	}
	for i, a := range found {
		found[i] = a.Unmap()
	}
	slices.SortFunc(found, netip.Addr.Compare)
	return slices.Compact(found), nil
}

func (t target) endpoint(a netip.Addr, q Asked) Endpoint {
	e := Endpoint{Target: t.text, Address: a, Port: t.port, StartTLS: t.starttls, Domain: q.Domain, Ranged: t.ranged}
	if !t.address.IsValid() {
		e.Name, e.SNI = t.host, t.host
	}
	if q.SNI != "" {
		e.SNI = q.SNI
	}
	return e
}
