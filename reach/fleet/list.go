package fleet

import (
	"strconv"
	"strings"

	"staunch/fault"
)

// List reads one host a line: NAME, or USER@NAME, or NAME:PORT. "#" begins a comment; patterns are written out.
func List(text []byte, source string) (*Fleet, error) {
	var hosts []Host
	for n, line := range Lines(text) {
		if line == "" {
			continue
		}
		some, err := listed(line)
		if err != nil {
			return nil, At(source, n, err)
		}
		hosts = append(hosts, some...)
		if len(hosts) > MaxHosts {
			return nil, fault.New(fault.Full, "%s names over %d hosts", source, MaxHosts)
		}
	}
	return Of(source, hosts), nil
}

func listed(line string) ([]Host, error) {
	proto := Host{}
	rest := line
	if user, tail, has := strings.Cut(line, "@"); has {
		proto.User, rest = user, tail
	}
	if !isAddress(rest) {
		if name, port, has := strings.Cut(rest, ":"); has {
			n, err := strconv.Atoi(port)
			if err != nil || !validPort(port) {
				return nil, fault.New(fault.Usage, "%q is not a host name", line).Hinted("one host a line, as in web1 or admin@web1:2222")
			}
			rest, proto.Port = name, n
		}
	}
	return Like(proto, rest)
}

// Like writes a pattern out into hosts like proto. A name that is an address is called by it, where a name can be.
func Like(proto Host, pattern string) ([]Host, error) {
	names, err := Expand(pattern)
	if err != nil {
		return nil, err
	}
	var hosts []Host
	for _, n := range names {
		h := proto
		h.Name = n
		if isAddress(n) {
			h.Address, h.Name = n, strings.ReplaceAll(n, ":", "-")
		}
		if says := h.Wrong(); says != "" {
			return nil, fault.New(fault.Usage, "host %q: %s", n, says)
		}
		hosts = append(hosts, h)
	}
	return hosts, nil
}

// Lines numbers the lines from 1 and takes comments ("#", ";") and outer space off.
func Lines(text []byte) func(func(int, string) bool) {
	return func(yield func(int, string) bool) {
		n := 0
		for line := range strings.Lines(string(text)) {
			n++
			line = strings.TrimSpace(line)
			if i := strings.Index(line, " #"); i >= 0 {
				line = strings.TrimSpace(line[:i])
			}
			if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
				line = ""
			}
			if !yield(n, line) {
				return
			}
		}
	}
}

// At puts file and line before an error, and keeps its kind and hint.
func At(source string, line int, err error) error {
	return fault.New(fault.KindOf(err), "%s:%d: %v", source, line, err).Hinted("%s", fault.HintOf(err))
}
