// Package fleet says which hosts, services, endpoints and rings exist, and how to name a part of them.
package fleet

import (
	"net"
	"slices"
	"time"

	"staunch/fault"
)

// Fleet is what staunch.yaml (or a borrowed inventory) says exists. It is a value: never changed after it was read.
type Fleet struct {
	Source    string     `json:"source,omitempty"` // the file it came from, for messages
	Hosts     []Host     `json:"hosts"`            // in the file's order, patterns expanded, names unique
	Rings     []Ring     `json:"rings"`            // in the order of a rollout; a host's ring always is one of them
	Services  []Service  `json:"services,omitempty"`
	Endpoints []Endpoint `json:"endpoints,omitempty"`
	// Notify is the command that tells people something, with its arguments; it is never given to a shell. Empty: nobody is told.
	Notify []string `json:"notify,omitempty"`
	// Alone is how long a plan waits after the vote of a team of one, so that somebody else can object.
	Alone time.Duration `json:"alone_ns,omitempty"`
	// Keep is how long a login for questions is kept after its last use; 0: not at all.
	Keep time.Duration `json:"keep_ns,omitempty"`
}

// AloneDelay is the delay of a team of one where nothing else is said.
const AloneDelay = 10 * time.Minute

// How long logins for questions are kept: usually (as long as Ansible's), and at most, so that rights that were taken away do not live on.
const (
	UsualKeep   = time.Minute
	LongestKeep = time.Hour
)

// Host is one machine. Its name is how the fleet calls it; where it answers is Address, or else the name.
type Host struct {
	Name    string            `json:"name"`
	Address string            `json:"address,omitempty"`
	Port    int               `json:"port,omitempty"` // of sshd; 0: what the ssh configuration says, else 22
	User    string            `json:"user,omitempty"` // "": what the user's ssh configuration says
	Ring    string            `json:"ring"`
	Labels  map[string]string `json:"labels,omitempty"` // a bare label has the value ""
	// System is the operating system where it is not Linux with systemd: such a host is not covered.
	System string `json:"system,omitempty"`
	// Hook names the host-side hook that restarts a host that is not covered: nothing else does.
	Hook string `json:"hook,omitempty"`
	// HookOn names the covered host whose hook that is; it is told HOST=Name. "" means the host itself: Linux without systemd.
	HookOn string `json:"hook_on,omitempty"`
	Via    Via    `json:"via,omitempty"`
}

// Via says how a host is reached.
type Via string

// The ways to a host. The zero value means ViaSSH.
const (
	ViaSSH    Via = "ssh"        // our own ssh client
	ViaSystem Via = "system-ssh" // the machine's ssh program: ProxyCommand, GSSAPI, hardware keys
	ViaAgent  Via = "agent"      // it calls in
	ViaLocal  Via = "local"      // this machine
	ViaNone   Via = "none"       // nobody can log in: probed from outside only
)

// NotCovered tells why nothing can be looked at on this host, or "".
func (h Host) NotCovered() string {
	switch {
	case h.System != "":
		return "not covered: runs " + h.System + ", not Linux with systemd"
	case h.Via == ViaNone:
		return "not covered: no way to log in"
	}
	return ""
}

// TakesHooks tells that a host which is not covered runs its own restart hook: the host part goes there for that alone.
func (h Host) TakesHooks() bool {
	return h.System != "" && h.Via != ViaNone && h.Hook != "" && h.HookOn == ""
}

// OnlyBy refuses an act on a host that is not covered, unless it is its own restart hook. hook is the name of the hook that the act runs, ""
// for every other act.
func (h Host) OnlyBy(hook string) error {
	if h.NotCovered() == "" || h.TakesHooks() && hook == h.Hook {
		return nil
	}
	e := fault.New(fault.Unsupported, "%s: %s; %s", h.Name, h.NotCovered(), h.RestartedBy())
	switch {
	case h.HookOn != "":
		return e.Hinted("staunch do hook %s HOST=%s --on %s", h.Hook, h.Name, h.HookOn)
	case h.TakesHooks():
		return e.Hinted("staunch do hook %s --on %s", h.Hook, h.Name)
	}
	return e.Hinted("name a restart_hook in staunch.yaml, or do it by hand")
}

// RestartedBy says how a host that is not covered is restarted, for a person.
func (h Host) RestartedBy() string {
	switch {
	case h.NotCovered() == "":
		return ""
	case h.Hook == "":
		return "staunch cannot restart it: no restart_hook is named"
	case h.HookOn == "":
		return "restarted only by its own hook " + h.Hook
	}
	return "restarted only by the hook " + h.Hook + " on " + h.HookOn
}

// Dial is the name to connect to.
func (h Host) Dial() string {
	if h.Address != "" {
		return h.Address
	}
	return h.Name
}

// Ring is one stage of a rollout.
type Ring struct {
	Name   string        `json:"name"`
	Order  int           `json:"order"`             // 0 first
	Width  Width         `json:"width"`             // how many of its hosts at once
	Soak   time.Duration `json:"soak_ms,omitempty"` // how long a changed host is watched before the next ones
	Quorum int           `json:"quorum"`            // signatures that a plan for this ring needs; at least 1
}

// Width is a number of hosts at once, or a percentage of the ring's hosts. The zero value means one.
type Width struct {
	Hosts   int `json:"hosts,omitempty"`
	Percent int `json:"percent,omitempty"`
}

// Of is the width in a ring (or service) of n hosts: at least 1, at most n where there are any.
func (w Width) Of(n int) int {
	k := w.Hosts
	if w.Percent > 0 {
		k = n * w.Percent / 100
	}
	return max(1, min(k, n))
}

// Service is something people use, made of units on hosts.
type Service struct {
	Name    string   `json:"name"`
	On      string   `json:"on"`              // selector of its hosts, as written
	Hosts   []string `json:"hosts"`           // the names it selects, in the fleet's order
	Units   []string `json:"units,omitempty"` // systemd units, with their suffix
	Restart Restart  `json:"restart"`
	Health  *Health  `json:"health,omitempty"`  // how to tell that it serves
	Drain   string   `json:"drain,omitempty"`   // host-side hook that takes a host out of service
	Undrain string   `json:"undrain,omitempty"` // host-side hook that puts it back
	MaxDown Width    `json:"max_down"`          // how many of its hosts may be down at once
	Holds   []string `json:"holds,omitempty"`   // what data it holds, in words for a report
	Owner   string   `json:"owner,omitempty"`   // who answers for it
	Vendor  string   `json:"vendor,omitempty"`  // whom to ask for a fixed version, where somebody else makes it
	Public  bool     `json:"public,omitempty"`  // strangers can reach it: comes first
	Replica bool     `json:"replica,omitempty"` // these hosts follow another: they come before their primary
	Follows string   `json:"follows,omitempty"` // host-side hook of a replica that tells whether it follows its primary; "": a person is asked
}

// Restart is how a service gets onto new code.
type Restart struct {
	How  string `json:"how"`            // restart, reload, hook, reboot, person
	Hook string `json:"hook,omitempty"` // with how: hook
}

// Health is how to tell that a service serves on one host. Exactly one of Unit, TCP, URL and Hook is set; {host} stands for the host's address.
type Health struct {
	Unit   string        `json:"unit,omitempty"`   // this unit is active
	TCP    string        `json:"tcp,omitempty"`    // host:port accepts
	URL    string        `json:"url,omitempty"`    // answers with Status
	Hook   string        `json:"hook,omitempty"`   // host-side hook that exits 0
	Status int           `json:"status,omitempty"` // with URL; 0 means any of 200-399
	Within time.Duration `json:"within_ms"`        // the one deadline: well until then or failed; default 30 s
}

// Endpoint is a name that strangers (or our own clients) connect to.
type Endpoint struct {
	Name       string   `json:"name"`      // host name of a URL, or any word
	Addresses  []string `json:"addresses"` // "host:port", "1.2.3.4:443", "[::1]:443"; every address of a name is probed
	SNI        string   `json:"sni,omitempty"`
	StartTLS   string   `json:"starttls,omitempty"` // smtp, lmtp, imap, pop3, ftp, sieve, nntp, xmpp-client, xmpp-server, ldap, postgres, mysql
	XMPPDomain string   `json:"xmpp_domain,omitempty"`
	Service    string   `json:"service,omitempty"` // Service.Name
	Public     bool     `json:"public"`            // default true
	Behind     string   `json:"behind,omitempty"`  // the CDN or balancer that answers there, where it is not the service itself
	Pins       []string `json:"pins,omitempty"`    // lower-case hex SHA-256 of SPKIs that clients have pinned: a new key breaks them
	TLSA       []string `json:"tlsa,omitempty"`    // TLSA records in DNS, as "3 1 1 hex"
}

// Host returns the host of that name.
func (f *Fleet) Host(name string) (Host, bool) {
	for _, h := range f.Hosts {
		if h.Name == name {
			return h, true
		}
	}
	return Host{}, false
}

// Ring returns the ring of that name.
func (f *Fleet) Ring(name string) (Ring, bool) {
	for _, r := range f.Rings {
		if r.Name == name {
			return r, true
		}
	}
	return Ring{}, false
}

// InRing returns the hosts of one ring in the fleet's order.
func (f *Fleet) InRing(name string) []Host {
	var in []Host
	for _, h := range f.Hosts {
		if h.Ring == name {
			in = append(in, h)
		}
	}
	return in
}

// ServicesOn returns the services that run on a host.
func (f *Fleet) ServicesOn(host string) []Service {
	var on []Service
	for _, s := range f.Services {
		for _, h := range s.Hosts {
			if h == host {
				on = append(on, s)
				break
			}
		}
	}
	return on
}

// Service returns the service of that name.
func (f *Fleet) Service(name string) (Service, error) {
	for _, s := range f.Services {
		if s.Name == name {
			return s, nil
		}
	}
	return Service{}, fault.New(fault.NotFound, "no service is called %q", name).Hinted("services are listed in %s", f.Source)
}

// EndpointsOf lists the endpoints that a host stands behind: its services' ones, and those whose address is the host's.
func (f *Fleet) EndpointsOf(h Host) []Endpoint {
	var found []Endpoint
	for _, e := range f.Endpoints {
		s, err := f.Service(e.Service)
		served := err == nil && slices.Contains(s.Hosts, h.Name)
		own := slices.ContainsFunc(e.Addresses, func(a string) bool {
			name, _, err := net.SplitHostPort(a)
			return err == nil && (name == h.Name || name == h.Dial())
		})
		if served || own {
			found = append(found, e)
		}
	}
	return found
}
