package fleet

import (
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"staunch/fault"
)

// Read reads staunch.yaml. source names the text in messages.
func Read(text []byte, source string) (*Fleet, error) {
	form, r, err := parse(text, source)
	if err != nil {
		return nil, err
	}
	f := &Fleet{Source: source, Rings: rings(form.Rings), Notify: form.Notify, Alone: form.Alone, Keep: form.Keep}
	if len(f.Notify) > 0 && !filepath.IsAbs(f.Notify[0]) {
		r.wrong(form.of("notify"), "write the whole path, and each argument as an entry of its own", "notify: %q is no absolute path", f.Notify[0])
	}
	if f.Keep < 0 || f.Keep > LongestKeep {
		r.wrong(form.of("keep"), "as in keep: 5m; 0s switches it off", "keep: from 0 to %v", LongestKeep)
	}
	for _, h := range form.Hosts {
		r.hosts(f, h)
		if len(f.Hosts) > MaxHosts {
			return nil, fault.New(fault.Full, "%s names over %d hosts", source, MaxHosts)
		}
	}
	for _, h := range form.Hosts {
		r.hook(f, h)
	}
	for _, s := range form.Services {
		r.service(f, s)
	}
	for _, e := range form.Endpoints {
		r.endpoint(f, e)
	}
	return f, r.fault()
}

// rings are the written ones, or the usual three.
func rings(forms []ringForm) []Ring {
	if len(forms) == 0 {
		forms = []ringForm{{Name: "canary"}, {Name: "staging"}, {Name: "production"}}
	}
	var rings []Ring
	for i, r := range forms {
		if r.Width == (Width{}) {
			r.Width.Hosts = 1
		}
		rings = append(rings, Ring{Name: r.Name, Order: i, Width: r.Width, Soak: r.Soak, Quorum: max(1, r.Quorum)})
	}
	return rings
}

// Home is the ring of hosts that name none.
func (f *Fleet) Home() string {
	if _, ok := f.Ring("production"); ok {
		return "production"
	}
	return f.Rings[len(f.Rings)-1].Name
}

func (r *reader) hosts(f *Fleet, h hostForm) {
	names, err := Expand(h.Name)
	if err != nil {
		r.wrong(h.at, fault.HintOf(err), "%v", err)
		return
	}
	if h.Ring == "" {
		h.Ring = f.Home()
	} else if _, known := f.Ring(h.Ring); !known {
		var rings []string
		for _, ring := range f.Rings {
			rings = append(rings, ring.Name)
		}
		r.wrong(h.of("ring"), didYouMean(h.Ring, rings), "host %s: no ring is called %q", h.Name, h.Ring)
	}
	if len(names) > 1 && h.Address != "" && !strings.Contains(h.Address, "{name}") {
		r.wrong(h.of("address"), "use {name} in it", "hosts %s: %d hosts cannot share one address", h.Name, len(names))
	}
	for _, name := range names {
		host := Host{
			Name: name, Address: strings.ReplaceAll(h.Address, "{name}", name), Port: h.Port, User: h.User, Ring: h.Ring,
			Labels: h.Labels, System: h.System, Hook: h.Hook, HookOn: h.HookOn, Via: Via(h.Via),
		}
		if says := host.Wrong(); says != "" {
			at := h.at
			if reName.MatchString(name) {
				at = h.of("address") // all else that can be wrong is seen where it is read
			}
			r.wrong(at, "as in 192.0.2.7, 2001:db8::7 or {name}.example.org", "host %s: %s", name, says)
		}
		f.Hosts = append(f.Hosts, host)
	}
	r.twice(f, h, len(names))
}

// hook holds restart_hook and restart_on against all hosts.
func (r *reader) hook(f *Fleet, h hostForm) {
	if h.Hook == "" && h.HookOn == "" {
		return
	}
	at, known := f.Host(h.HookOn)
	switch covered := h.System == "" && Via(h.Via) != ViaNone; {
	case h.Hook == "" && h.HookOn != "":
		r.wrong(h.of("restart_on"), "add restart_hook: NAME", "hosts %s: restart_on goes with restart_hook", h.Name)
	case h.Hook != "" && covered:
		r.wrong(h.of("restart_hook"), "it goes with system or via: none; what runs systemd is restarted by its units", "hosts %s: restart_hook is for hosts that are not covered", h.Name)
	case h.HookOn != "" && !known:
		r.wrong(h.of("restart_on"), didYouMean(h.HookOn, f.names()), "hosts %s: restart_on names no host: %q", h.Name, h.HookOn)
	case h.HookOn != "" && at.NotCovered() != "":
		r.wrong(h.of("restart_on"), "name a host that runs Linux with systemd", "hosts %s: restart_on names %s, which is not covered itself", h.Name, h.HookOn)
	case h.Hook != "" && h.HookOn == "" && Via(h.Via) == ViaNone:
		r.wrong(h.of("restart_hook"), "restart_on: a covered host whose hook does it", "hosts %s: nobody can log in, so its hook cannot run there", h.Name)
	}
}

// twice finds names that stood before.
func (r *reader) twice(f *Fleet, h hostForm, added int) {
	if r.known == nil {
		r.known = map[string]bool{}
	}
	for _, n := range f.Hosts[len(f.Hosts)-added:] {
		if r.known[n.Name] {
			r.wrong(h.at, "a host stands once; give it several labels instead", "host %s stands twice", n.Name)
		}
		r.known[n.Name] = true
	}
}

// Wrong tells what is wrong with a host's own values, or "".
func (h Host) Wrong() string {
	switch {
	case !reName.MatchString(h.Name):
		return "a name has letters, digits, dots, dashes and underscores"
	case h.Address != "" && !reName.MatchString(h.Address) && !isAddress(h.Address):
		return "address " + strconv.Quote(h.Address) + " is neither a host name nor an IP address"
	case h.User != "" && !reUser.MatchString(h.User):
		return "user " + strconv.Quote(h.User) + " is not a user name"
	case h.Port > 65535:
		return "port " + strconv.Itoa(h.Port) + " is out of range"
	}
	return ""
}

// IsWord tells whether a text can be a label.
func IsWord(s string) bool { return reWord.MatchString(s) }

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

func (r *reader) service(f *Fleet, s serviceForm) {
	say := func(key, hint, format string, args ...any) {
		r.wrong(s.of(key), hint, "service "+s.Name+": "+format, args...)
	}
	out := Service{
		Name: s.Name, On: s.On, Units: s.Units, Drain: s.Drain, Undrain: s.Undrain, MaxDown: s.MaxDown, Holds: s.Holds, Owner: s.Owner, Vendor: s.Vendor,
		Public: s.Public, Replica: s.Replica, Follows: s.Follows, Restart: Restart{How: "restart"},
	}
	if hook, isHook := strings.CutPrefix(s.Restart, "hook:"); isHook {
		out.Restart = Restart{How: "hook", Hook: hook}
	} else if s.Restart != "" {
		out.Restart.How = s.Restart
	}
	if out.MaxDown == (Width{}) {
		out.MaxDown.Hosts = 1
	}
	if s.On == "" {
		say("on", "on: says which hosts it runs on", "the key on is missing")
	} else if hosts, err := f.Select(s.On, nil); err != nil {
		says, _, _ := strings.Cut(err.Error(), "\n") // without the picture of where
		say("on", fault.HintOf(err), "on: %s", says)
	} else {
		for _, h := range hosts {
			out.Hosts = append(out.Hosts, h.Name)
		}
	}
	out.Health = r.health(s, say)
	f.Services = append(f.Services, out)
}

func (r *reader) health(s serviceForm, say func(key, hint, format string, args ...any)) *Health {
	h := s.Health
	if !s.has("health") {
		return nil
	}
	set := 0
	for _, one := range []string{h.Unit, h.TCP, h.URL, h.Hook} {
		if one != "" {
			set++
		}
	}
	if set != 1 {
		say("health", "as in health: {unit: nginx.service}", "health is exactly one of unit, tcp, url and hook, here are %d", set)
	}
	if h.Status != 0 && h.URL == "" {
		say("health", "it is what the URL must answer", "health: status goes with url")
	}
	if h.Within == 0 {
		h.Within = 30 * time.Second
	}
	return &Health{Unit: h.Unit, TCP: h.TCP, URL: h.URL, Hook: h.Hook, Status: h.Status, Within: h.Within}
}

func (r *reader) endpoint(f *Fleet, e endpointForm) {
	say := func(key, hint, format string, args ...any) {
		r.wrong(e.of(key), hint, "endpoint "+e.Name+": "+format, args...)
	}
	out := Endpoint{
		Name: e.Name, Addresses: e.Addresses, SNI: e.SNI, StartTLS: e.StartTLS, XMPPDomain: e.XMPPDomain, Service: e.Service,
		Public: !e.Internal, Behind: e.Behind, Pins: e.Pins, TLSA: e.TLSA,
	}
	hostLike := reName.MatchString(e.Name) && strings.Contains(e.Name, ".")
	if out.SNI == "" && hostLike {
		out.SNI = e.Name
	}
	if len(out.Addresses) == 0 && hostLike {
		out.Addresses = []string{net.JoinHostPort(e.Name, "443")}
	}
	if len(out.Addresses) == 0 {
		say("addresses", "as in addresses: [192.0.2.1:443]", "it has no addresses")
	}
	for _, a := range out.Addresses {
		if host, port, err := net.SplitHostPort(a); err != nil || !validPort(port) || !reName.MatchString(host) && !isAddress(host) {
			say("addresses", "as in 192.0.2.1:443 or [2001:db8::1]:443", "address %q is not host:port", a)
		}
	}
	if e.Service != "" {
		if _, err := f.Service(e.Service); err != nil {
			var names []string
			for _, s := range f.Services {
				names = append(names, s.Name)
			}
			say("service", didYouMean(e.Service, names), "no service is called %q", e.Service)
		}
	}
	if (e.XMPPDomain != "") != strings.HasPrefix(e.StartTLS, "xmpp-") {
		say("starttls", "as in {starttls: xmpp-client, xmpp_domain: example.org}", "xmpp_domain goes with starttls xmpp-client or xmpp-server, and they need it")
	}
	f.Endpoints = append(f.Endpoints, out)
}

func validPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n > 0 && n < 65536
}

// Of makes a fleet of plain hosts without services, as borrowed inventories give it; names that stand twice are merged.
func Of(source string, hosts []Host) *Fleet {
	f := &Fleet{Source: source, Rings: rings(nil), Alone: AloneDelay, Keep: UsualKeep}
	at := map[string]int{}
	for _, h := range hosts {
		if i, known := at[h.Name]; known {
			f.Hosts[i] = merge(f.Hosts[i], h)
			continue
		}
		if h.Ring == "" {
			h.Ring = f.Home()
		}
		at[h.Name] = len(f.Hosts)
		f.Hosts = append(f.Hosts, h)
	}
	return f
}

// merge adds what b knows to a.
func merge(a, b Host) Host {
	labels := map[string]string{}
	for _, from := range []map[string]string{a.Labels, b.Labels} {
		for k, v := range from {
			labels[k] = v
		}
	}
	if len(labels) > 0 {
		a.Labels = labels
	}
	if a.Address == "" {
		a.Address = b.Address
	}
	if a.User == "" {
		a.User = b.User
	}
	if a.Port == 0 {
		a.Port = b.Port
	}
	return a
}

// names lists all hosts' names.
func (f *Fleet) names() []string {
	var names []string
	for _, h := range f.Hosts {
		names = append(names, h.Name)
	}
	return slices.Clip(names)
}
