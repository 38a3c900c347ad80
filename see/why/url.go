package why

import (
	"context"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"staunch/tame"
)

// target is a URL taken apart.
type target struct {
	url    *url.URL
	host   string // as DNS wants it: lower case, A-labels, no trailing dot
	ip     netip.Addr
	port   int
	secure bool
}

// URLDetail shows the parts of the link.
type URLDetail struct {
	Scheme string   `json:"scheme"`
	Host   string   `json:"host"`
	Labels []string `json:"labels,omitempty"` // from the root down
	Port   int      `json:"port"`
	Path   string   `json:"path"`
	Query  bool     `json:"query"`
}

func urlLayer(_ context.Context, w *walk) Layer {
	t, says := parseURL(w.q.URL)
	if says != "" {
		w.fail(BadURL, "This link cannot work: "+says+".", "Check it for typing errors; a link looks like https://example.org/path.")
		return Layer{State: Failed, Says: says}
	}
	w.target = t
	detail := URLDetail{Scheme: t.url.Scheme, Host: t.host, Port: t.port, Path: tame.Short(t.url.EscapedPath(), 2048), Query: t.url.RawQuery != ""}
	layer := Layer{
		State: OK, Says: tame.Short(t.host, 2048) + ", port " + strconv.Itoa(t.port),
		Check: "python3 -c 'import sys, urllib.parse as u; print(u.urlsplit(sys.argv[1]))' " + shellQuoted(t.url.String()),
	}
	if !t.ip.IsValid() {
		labels := strings.Split(t.host, ".")
		for i := len(labels) - 1; i >= 0; i-- {
			detail.Labels = append(detail.Labels, tame.Short(labels[i], 2048))
		}
	}
	layer.Lines = describeURL(t)
	layer.Detail = detail
	return layer
}

func describeURL(t target) []Line {
	scheme := "http: nothing on the way is encrypted"
	if t.secure {
		scheme = "https: encrypted, and the site has to prove its name"
	}
	lines := []Line{{State: OK, Says: scheme}}
	if t.ip.IsValid() {
		lines = append(lines, Line{State: OK, Says: "the host is an address already, no name to look up"})
	} else {
		lines = append(lines, Line{State: OK, Says: "host " + tame.Short(t.host, 2048) + ": read from the right, " + strings.Join(reversed(strings.Split(t.host, ".")), " > ")})
	}
	if unicode, err := idna.ToUnicode(t.host); err == nil && unicode != t.host {
		lines = append(lines, Line{State: OK, Says: "written " + tame.Short(unicode, 2048) + " with letters beyond a-z: check that it is the site you mean"})
	}
	if t.url.User != nil {
		lines = append(lines, Line{State: Slowly, Says: "the part before @ is a user name, not the site: a common trick in fraudulent links"})
	}
	return lines
}

func reversed(labels []string) []string {
	out := make([]string, 0, len(labels))
	for i := len(labels) - 1; i >= 0; i-- {
		out = append(out, tame.Short(labels[i], 2048))
	}
	return out
}

// parseURL returns the parts, or a sentence that says what is wrong.
func parseURL(raw string) (target, string) {
	if len(raw) > 8192 {
		return target{}, "it is longer than 8,192 characters"
	}
	if !strings.Contains(raw, "://") {
		raw = "https://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		return target{}, "it cannot be read as a link"
	}
	t := target{url: u}
	switch strings.ToLower(u.Scheme) {
	case "https":
		t.secure, t.port = true, 443
	case "http":
		t.port = 80
	default:
		return target{}, "\"" + tame.Short(u.Scheme, 2048) + "\" is not http or https"
	}
	if p := u.Port(); p != "" {
		n, err := strconv.Atoi(p)
		if err != nil || n < 1 || n > 65535 {
			return target{}, "port " + tame.Short(p, 2048) + " does not exist (1 to 65535)"
		}
		t.port = n
	}
	return withHost(t, u.Hostname())
}

func withHost(t target, host string) (target, string) {
	if ip, err := netip.ParseAddr(host); err == nil {
		t.ip, t.host = ip, host
		return t, ""
	}
	name, err := idna.Lookup.ToASCII(strings.TrimSuffix(host, "."))
	if err != nil {
		// Names with underscores exist and work; only the form that DNS itself cannot carry is refused below.
		name = strings.ToLower(strings.TrimSuffix(host, "."))
	}
	if name == "" {
		return target{}, "it names no host"
	}
	if len(name) > 253 {
		return target{}, "the host's name is longer than 253 characters"
	}
	for _, label := range strings.Split(name, ".") {
		if label == "" || len(label) > 63 {
			return target{}, "the host's name has an empty part, or one longer than 63 characters"
		}
		if strings.ContainsFunc(label, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"\()@;`, r) }) {
			return target{}, "the host's name has a character that no name can have"
		}
	}
	t.host = name
	return t, ""
}
