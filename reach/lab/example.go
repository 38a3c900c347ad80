package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"staunch/reach/fleet"
	"staunch/see/scan"
	"staunch/see/scan/elf"
)

// Old and Fixed are the two versions of the pretend library package libtally1 (source tally, component "tally").
const (
	Old   = "1.0-1"
	Fixed = "1.1-1"
)

// Paths in the example's machines.
const (
	Library = "/usr/lib/x86_64-linux-gnu/libtally.so.1"
	Proxy   = "/usr/sbin/proxyd"       // package proxyd: maps Library, keeps old workers on reload
	Shop    = "/usr/sbin/shopd"        // package shopd: maps Library
	Static  = "/opt/vendor/bin/report" // no package: has tally inside; fixed only by the vendor
	SSH     = "/usr/sbin/sshd"         // package openssh-server: has nothing to do with it
)

// Payload is what installs version 5.2 of Static.
const Payload = "report 5.2, with tally 1.1 inside"

func payloadSum() string {
	sum := sha256.Sum256([]byte(Payload))
	return hex.EncodeToString(sum[:])
}

// Example is a small fleet with everything in it that makes a night long: n web hosts behind a public proxy, two databases, and one
// host with a program that has the library inside. The first web host is the canary, the next quarter staging, the rest production.
func Example(webs int) (*fleet.Fleet, World) {
	f := &fleet.Fleet{
		Source: "the lab's example",
		Rings: []fleet.Ring{
			{Name: "canary", Order: 0, Width: fleet.Width{Hosts: 1}, Quorum: 1},
			{Name: "staging", Order: 1, Width: fleet.Width{Hosts: 2}, Quorum: 1},
			{Name: "production", Order: 2, Width: fleet.Width{Percent: 25}, Quorum: 2},
		},
	}
	w := World{Builds: exampleBuilds()}
	for i := range webs {
		ring := "production"
		if i == 0 {
			ring = "canary"
		} else if i <= webs/4 {
			ring = "staging"
		}
		add(f, &w, fmt.Sprintf("web%d", i+1), ring, "web", webUnits())
	}
	for i := range 2 {
		add(f, &w, fmt.Sprintf("db%d", i+1), "production", "db", []Unit{unit("shopd.service", Shop, 5432, false), sshUnit()})
	}
	add(f, &w, "report1", "production", "report", []Unit{{Name: "report.service", Exe: Static, Listens: listen(8080, false)}, sshUnit()})
	f.Services = []fleet.Service{
		exampleService(f, "proxy", "web", "proxyd.service", true),
		exampleService(f, "shop", "web", "shopd.service", false),
		exampleService(f, "database", "db", "shopd.service", false),
		exampleService(f, "report", "report", "report.service", false),
	}
	f.Endpoints = []fleet.Endpoint{{Name: "shop.example.org", Addresses: []string{"192.0.2.10:443"}, SNI: "shop.example.org", Service: "proxy", Public: true}}
	return f, w
}

func add(f *fleet.Fleet, w *World, name, ring, label string, units []Unit) {
	f.Hosts = append(f.Hosts, fleet.Host{Name: name, Ring: ring, Labels: map[string]string{label: ""}})
	w.Machines = append(w.Machines, Machine{
		Name: name, Units: units, Hooks: []string{"drain", "undrain"},
		Versions: map[string]string{"libtally1": Old, "proxyd": "2.4-1", "shopd": "7.0-2", "openssh-server": "1:9.2p1-2", Static: "5.1"},
	})
}

func exampleBuilds() []Build {
	tally := func(version string, linkage elf.Linkage) []elf.Component {
		upstream := strings.TrimSuffix(version, "-1")
		return []elf.Component{{Name: "tally", Version: upstream, Linkage: linkage, Evidence: []elf.Evidence{{Kind: "version", Says: "the object names its version", Detail: "libtally " + upstream}}}}
	}
	return []Build{
		{Path: Library, Package: "libtally1", Source: "tally", Version: Old, Soname: "libtally.so.1", Components: tally(Old, elf.Dynamic)},
		{Path: Library, Package: "libtally1", Source: "tally", Version: Fixed, Soname: "libtally.so.1", Components: tally(Fixed, elf.Dynamic)},
		{Path: Proxy, Package: "proxyd", Version: "2.4-1"},
		{Path: Shop, Package: "shopd", Version: "7.0-2"},
		{Path: SSH, Package: "openssh-server", Source: "openssh", Version: "1:9.2p1-2"},
		{Path: Static, Version: "5.1", Components: tally(Old, elf.Static)},
		{Path: Static, Version: "5.2", Components: tally(Fixed, elf.Static), SHA256: payloadSum()},
	}
}

func webUnits() []Unit {
	proxy := unit("proxyd.service", Proxy, 443, true)
	proxy.Workers, proxy.KeepsOld = 2, 1
	return []Unit{proxy, unit("shopd.service", Shop, 8080, false), sshUnit()}
}

func unit(name, exe string, port int, public bool) Unit {
	return Unit{Name: name, Exe: exe, Maps: []string{Library}, User: "www-data", Listens: listen(port, public)}
}

func sshUnit() Unit { return Unit{Name: "ssh.service", Exe: SSH, Listens: listen(22, false)} }

func listen(port int, public bool) []scan.Listen {
	l := scan.Listen{Proto: "tcp", Addr: "10.0.0.1", Port: port, Reach: "internal"}
	if public {
		l.Addr, l.Reach, l.Public = "192.0.2.10", "public", true
	}
	return []scan.Listen{l}
}

func exampleService(f *fleet.Fleet, name, label, unit string, public bool) fleet.Service {
	s := fleet.Service{
		Name: name, On: label, Units: []string{unit}, Restart: fleet.Restart{How: "restart"}, MaxDown: fleet.Width{Hosts: 1},
		Health: &fleet.Health{Unit: unit}, Owner: "the " + name + " team", Holds: []string{name + " data"}, Public: public,
	}
	if public {
		s.Health = &fleet.Health{TCP: "{host}:443"}
		s.Drain, s.Undrain = "drain", "undrain"
	}
	for _, h := range f.Hosts {
		if _, has := h.Labels[label]; has {
			s.Hosts = append(s.Hosts, h.Name)
		}
	}
	return s
}
