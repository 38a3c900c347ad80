package fleet

import (
	"net"
	"strconv"
)

// Outside is what strangers reach on one host because the fleet's description says so, whatever its addresses look like:
// behind a balancer or an address translation a public service listens on an internal address.
type Outside struct {
	Units map[string]bool // of services that are public, or that a public endpoint names
	Ports map[int]bool    // of public endpoints whose address is this host
}

// Reaches tells whether strangers reach a unit, or one of the ports that it listens on.
func (o Outside) Reaches(unit string, ports ...int) bool {
	if o.Units[unit] {
		return true
	}
	for _, p := range ports {
		if o.Ports[p] {
			return true
		}
	}
	return false
}

// Outside tells for each host by name what strangers reach on it; hosts without anything are not in it.
func (f *Fleet) Outside() map[string]Outside {
	all := map[string]Outside{}
	if f == nil {
		return all
	}
	at := func(host string) Outside {
		if _, known := all[host]; !known {
			all[host] = Outside{Units: map[string]bool{}, Ports: map[int]bool{}}
		}
		return all[host]
	}
	named := map[string]bool{}
	hosts := map[string]string{} // addresses that endpoints may name, to the host
	for _, h := range f.Hosts {
		hosts[h.Name], hosts[h.Dial()] = h.Name, h.Name
	}
	for _, e := range f.Endpoints {
		if !e.Public {
			continue
		}
		named[e.Service] = true
		for _, a := range e.Addresses {
			where, port, err := net.SplitHostPort(a)
			n, errPort := strconv.Atoi(port)
			if host, ours := hosts[where]; err == nil && errPort == nil && ours {
				at(host).Ports[n] = true
			}
		}
	}
	for _, s := range f.Services {
		if !s.Public && !named[s.Name] {
			continue
		}
		for _, host := range s.Hosts {
			for _, unit := range s.Units {
				at(host).Units[unit] = true
			}
		}
	}
	return all
}
