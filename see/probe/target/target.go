package target

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"staunch/fault"
	"staunch/see/probe/starttls"
	"staunch/tame"

	"golang.org/x/net/idna"
)

// maxRange is how many endpoints one question may name by ranges.
const maxRange = 1 << 16

// target is one thing that the user named, before DNS.
type target struct {
	text     string // as written, safe to print
	host     string // "" when address is set
	address  netip.Addr
	port     uint16
	starttls string
	ranged   bool
}

// parseTargets reads all targets and refuses the question as a whole when one of them is wrong: half of an answer would look like all of it.
func parseTargets(q Asked) ([]target, error) {
	allow, err := parseAllow(q.Allow)
	if err != nil {
		return nil, err
	}
	if err := checkNames(q); err != nil {
		return nil, err
	}
	var all []target
	for _, text := range q.Targets {
		more, err := parseTarget(text, allow)
		if err != nil {
			return nil, err
		}
		for i := range more {
			if more[i].starttls, err = chooseStartTLS(q.StartTLS, more[i]); err != nil {
				return nil, err
			}
		}
		if all = append(all, more...); len(all) > maxRange {
			return nil, fault.New(fault.Usage, "more than %d endpoints in one question", maxRange)
		}
	}
	if len(all) == 0 {
		return nil, fault.New(fault.Usage, "nothing was named to probe").Hinted("name a host, host:port, URL or CIDR:ports")
	}
	return all, nil
}

func checkNames(a Asked) error {
	for _, name := range []string{a.SNI, a.Domain} {
		if name == "" {
			continue
		}
		if _, err := hostName(name); err != nil {
			return err
		}
	}
	return nil
}

func chooseStartTLS(asked string, t target) (string, error) {
	switch {
	case asked == "none":
		return "", nil
	case asked != "":
		for _, known := range starttls.Protocols() {
			if asked == known {
				return asked, nil
			}
		}
		return "", fault.New(fault.Usage, "unknown STARTTLS protocol %q", tame.Short(asked, 200)).Hinted("known: %s, none", strings.Join(starttls.Protocols(), ", "))
	case t.starttls == "none":
		return "", nil
	case t.starttls != "":
		return t.starttls, nil
	}
	return starttls.ByPort(int(t.port)), nil
}

func parseAllow(list []string) ([]netip.Prefix, error) {
	var allow []netip.Prefix
	for _, text := range list {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fault.New(fault.Usage, "%q is not a CIDR range", tame.Short(text, 200)).Hinted("like 10.1.0.0/16 or fd00::/64")
		}
		allow = append(allow, p.Masked())
	}
	return allow, nil
}

// parseTarget reads one target; only a range gives more than one.
func parseTarget(text string, allow []netip.Prefix) ([]target, error) {
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0 }) {
		return nil, fault.New(fault.Usage, "the target %q is empty or has control characters in it", tame.Short(text, 200))
	}
	if len(text) > 2048 {
		return nil, fault.New(fault.Usage, "a target of %d bytes", len(text))
	}
	if strings.Contains(text, "://") {
		t, err := parseURL(text)
		return []target{t}, err
	}
	if strings.Contains(text, "/") {
		return parseRange(text, allow)
	}
	host, portText := splitPort(text)
	t, err := hostTarget(text, host)
	if err != nil {
		return nil, err
	}
	t.port = 443
	if portText != "" {
		t.port, err = parsePort(portText)
	}
	return []target{t}, err
}

// splitPort divides host:port, [v6]:port, host and v6; a bare IPv6 address has no port.
func splitPort(text string) (host, port string) {
	if strings.HasPrefix(text, "[") {
		if host, rest, found := strings.Cut(text[1:], "]"); found && (rest == "" || rest[0] == ':') {
			return host, strings.TrimPrefix(rest, ":")
		}
		return text, ""
	}
	if strings.Count(text, ":") != 1 {
		return text, ""
	}
	host, port, _ = strings.Cut(text, ":")
	if port == "" {
		port = "empty"
	}
	return host, port
}

func hostTarget(text, host string) (target, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return target{text: text, address: a.Unmap()}, nil
	}
	name, err := hostName(host)
	return target{text: text, host: name}, err
}

// hostName checks a name and gives its ASCII form.
func hostName(name string) (string, error) {
	bad := fault.New(fault.Usage, "%q is not a host name or an address", tame.Short(name, 200)).Hinted("like www.example.org, 192.0.2.1:8443 or [2001:db8::1]:443")
	ascii, err := idna.Lookup.ToASCII(strings.TrimSuffix(name, "."))
	if err != nil || ascii == "" || len(ascii) > 253 {
		ascii = strings.TrimSuffix(name, ".") // names with underscores are no IDNs, but hosts have them
	}
	for label := range strings.SplitSeq(ascii, ".") {
		if label == "" || len(label) > 63 || strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" || label[0] == '-' {
			return "", bad
		}
	}
	if last := ascii[strings.LastIndexByte(ascii, '.')+1:]; strings.Trim(last, "0123456789") == "" || len(ascii) > 253 {
		return "", bad // a wrong address, like 300.1.2.3
	}
	return strings.ToLower(ascii), nil
}

func parsePort(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return 0, fault.New(fault.Usage, "%q is not a port", tame.Short(text, 200)).Hinted("ports are 1 to 65535")
	}
	return uint16(n), nil
}

// schemes maps URL schemes to a port and the way to TLS ("none": at once).
func schemes() map[string]struct {
	port     uint16
	starttls string
} {
	type s = struct {
		port     uint16
		starttls string
	}
	return map[string]s{
		"https": {443, "none"}, "wss": {443, "none"}, "tls": {443, "none"}, "smtps": {465, "none"}, "imaps": {993, "none"}, "pop3s": {995, "none"},
		"ftps": {990, "none"}, "ldaps": {636, "none"}, "nntps": {563, "none"}, "turns": {5349, "none"}, "stuns": {5349, "none"}, "xmpps": {5223, "none"},
		"smtp": {25, "smtp"}, "submission": {587, "smtp"}, "lmtp": {24, "lmtp"}, "imap": {143, "imap"}, "pop3": {110, "pop3"}, "ftp": {21, "ftp"},
		"sieve": {4190, "sieve"}, "nntp": {119, "nntp"}, "xmpp": {5222, "xmpp"}, "xmpp-server": {5269, "xmpp-server"}, "ldap": {389, "ldap"},
		"postgres": {5432, "postgres"}, "postgresql": {5432, "postgres"}, "mysql": {3306, "mysql"},
	}
}

func parseURL(text string) (target, error) {
	u, err := url.Parse(text)
	if err != nil {
		return target{}, fault.New(fault.Usage, "%q is not a URL", tame.Short(text, 200))
	}
	s, known := schemes()[strings.ToLower(u.Scheme)]
	switch {
	case u.Scheme == "http":
		return target{}, fault.New(fault.Usage, "%q has no TLS", tame.Short(text, 200)).Hinted("did you mean https://?")
	case u.Scheme == "dtls" || u.Scheme == "turn" || u.Scheme == "stun":
		return target{}, fault.New(fault.Unsupported, "%q: DTLS is judged by evidence from the host only", tame.Short(text, 200)).Hinted("run staunch scan on the machine")
	case !known:
		return target{}, fault.New(fault.Usage, "the scheme of %q is not one that we can probe", tame.Short(text, 200))
	case u.User != nil:
		return target{}, fault.New(fault.Usage, "a target may not carry a user name or password")
	}
	t, err := hostTarget(text, u.Hostname())
	if err != nil {
		return target{}, err
	}
	t.port, t.starttls = s.port, s.starttls
	if p := u.Port(); p != "" {
		t.port, err = parsePort(p)
	}
	return t, err
}

// parseRange reads CIDR:ports, like 10.0.0.0/24:443,8443-8450 or [fd00::/120]:443, which must lie inside one of the allowed ranges.
func parseRange(text string, allow []netip.Prefix) ([]target, error) {
	cidr, portText := text, "443"
	if strings.HasPrefix(text, "[") {
		inside, rest, found := strings.Cut(text[1:], "]")
		if found {
			cidr, portText = inside, strings.TrimPrefix(rest, ":")
		}
	} else if before, after, found := strings.Cut(text, ":"); found && !strings.Contains(after, ":") {
		cidr, portText = before, after
	}
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return nil, fault.New(fault.Usage, "%q is not a range of addresses", tame.Short(text, 200)).Hinted("like 10.0.0.0/24:443,8443 or [fd00::/120]:443")
	}
	if prefix = prefix.Masked(); !inside(prefix, allow) {
		return nil, fault.New(fault.Denied, "the range %s is not inside a range that you allowed", prefix).Hinted("say --allow %s if these addresses are yours", prefix)
	}
	ports, err := parsePorts(portText)
	if err != nil {
		return nil, err
	}
	if bits := prefix.Addr().BitLen() - prefix.Bits(); bits > 16 || len(ports)<<bits > maxRange {
		return nil, fault.New(fault.Usage, "the range %s with its ports has more than %d endpoints", prefix, maxRange)
	}
	var all []target
	for a := prefix.Addr(); prefix.Contains(a); a = a.Next() {
		for _, p := range ports {
			all = append(all, target{text: text, address: a, port: p, ranged: prefix.Bits() < prefix.Addr().BitLen() || len(ports) > 1})
		}
	}
	return all, nil
}

func inside(p netip.Prefix, allow []netip.Prefix) bool {
	for _, a := range allow {
		if a.Bits() <= p.Bits() && a.Contains(p.Addr()) {
			return true
		}
	}
	return false
}

func parsePorts(text string) ([]uint16, error) {
	var ports []uint16
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(part, "-")
		from, err := parsePort(first)
		if err != nil {
			return nil, err
		}
		to := from
		if isRange {
			if to, err = parsePort(last); err != nil {
				return nil, err
			}
		}
		if to < from {
			return nil, fault.New(fault.Usage, "the ports %q run backwards", tame.Short(part, 200))
		}
		for p := int(from); p <= int(to); p++ {
			ports = append(ports, uint16(p))
		}
	}
	return ports, nil
}
