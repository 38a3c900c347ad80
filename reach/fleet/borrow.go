package fleet

import (
	"bytes"
	"encoding/json"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"staunch/fault"
)

// Borrow reads an inventory that a team already has: staunch.yaml, an Ansible inventory (INI, YAML, or the JSON of
// ansible-inventory --list), an ssh configuration, or a plain list of names. The kind is told by the name and the content.
func Borrow(text []byte, name string, files Files) (*Fleet, error) {
	if len(text) > MaxBytes {
		return nil, fault.New(fault.Full, "%s has %d bytes, the limit is %d", name, len(text), MaxBytes)
	}
	base := path.Base(name)
	yamlName := strings.HasSuffix(base, ".yaml") || strings.HasSuffix(base, ".yml")
	switch {
	case strings.HasPrefix(base, "staunch") && yamlName:
		return Read(text, name)
	case bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")):
		return AnsibleJSON(text, name)
	case yamlName || looksYAML.Match(text):
		return AnsibleYAML(text, name)
	case base == "config" || base == "ssh_config" || looksSSH.Match(text):
		return SSHConfig(text, name, files)
	case looksINI.Match(text):
		return AnsibleINI(text, name)
	}
	return List(text, name)
}

var (
	looksYAML = regexp.MustCompile(`(?m)^(all|ungrouped|[A-Za-z0-9_-]+):\s*(#.*)?\n\s+(hosts|children|vars):`)
	looksSSH  = regexp.MustCompile(`(?mi)^\s*(host|match)\s+\S`)
	looksINI  = regexp.MustCompile(`(?m)^\s*(\[[^\]]+\]\s*(#.*)?$|\S+\s+\S+=\S)`)
)

// List reads one host a line: NAME, or USER@NAME, or NAME:PORT. "#" begins a comment; patterns are written out.
func List(text []byte, source string) (*Fleet, error) {
	var hosts []Host
	for n, line := range lines(text) {
		if line == "" {
			continue
		}
		some, err := listed(line)
		if err != nil {
			return nil, at(source, n, err)
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
	return expandHosts(rest, "-", proto)
}

// expandHosts writes a pattern out into hosts like proto.
func expandHosts(pattern, dash string, proto Host) ([]Host, error) {
	names, err := expand(pattern, dash)
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
		if says := h.wrong(); says != "" {
			return nil, fault.New(fault.Usage, "host %q: %s", n, says)
		}
		hosts = append(hosts, h)
	}
	return hosts, nil
}

// lines numbers the lines from 1 and takes comments and outer space off.
func lines(text []byte) func(func(int, string) bool) {
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

// at puts the place before an error, and keeps its kind and hint.
func at(source string, line int, err error) error {
	return fault.New(fault.KindOf(err), "%s:%d: %v", source, line, err).Hinted("%s", fault.HintOf(err))
}

// Files is how an ssh configuration reads what it includes; either may be nil.
type Files struct {
	Read func(name string) ([]byte, error)
	Glob func(pattern string) ([]string, error)
}

// SSHConfig takes the host names of an ssh configuration: entries without wildcards, also of included files. How to reach them stays
// the configuration's own business.
func SSHConfig(text []byte, source string, files Files) (*Fleet, error) {
	names, err := sshNames(text, source, files, 0)
	if err != nil {
		return nil, err
	}
	var hosts []Host
	for _, n := range names {
		if h := (Host{Name: n}); h.wrong() == "" && !slices.Contains(forges(), n) {
			hosts = append(hosts, h)
		}
	}
	return Of(source, hosts), nil
}

// forges are names in ssh configurations that are nobody's own hosts.
func forges() []string { return []string{"github.com", "gitlab.com", "bitbucket.org", "codeberg.org"} }

func sshNames(text []byte, source string, files Files, depth int) ([]string, error) {
	if depth > 8 {
		return nil, fault.New(fault.Usage, "%s: files are included too deeply", source)
	}
	var names []string
	for n, line := range lines(text) {
		key, value := keyword(line)
		switch key {
		case "host":
			for word := range strings.FieldsSeq(value) {
				if word = strings.Trim(word, `"`); !strings.ContainsAny(word, "*?!") {
					names = append(names, word)
				}
			}
		case "include":
			more, err := included(value, source, files, depth)
			if err != nil {
				return nil, at(source, n, err)
			}
			names = append(names, more...)
		}
		if len(names) > MaxHosts {
			return nil, fault.New(fault.Full, "%s names over %d hosts", source, MaxHosts)
		}
	}
	return names, nil
}

func keyword(line string) (key, value string) {
	i := strings.IndexAny(line, " \t=")
	if i < 0 {
		return strings.ToLower(line), ""
	}
	return strings.ToLower(line[:i]), strings.Trim(line[i:], " \t=")
}

func included(patterns, source string, files Files, depth int) ([]string, error) {
	if files.Read == nil || files.Glob == nil {
		return nil, nil
	}
	var names []string
	for pattern := range strings.FieldsSeq(patterns) {
		pattern = strings.Trim(pattern, `"`)
		if !strings.HasPrefix(pattern, "/") && !strings.HasPrefix(pattern, "~") {
			pattern = path.Join(path.Dir(source), pattern)
		}
		found, err := files.Glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, file := range found {
			text, err := files.Read(file)
			if err != nil {
				return nil, unreadable(file, err)
			}
			more, err := sshNames(text, file, files, depth+1)
			if err != nil {
				return nil, err
			}
			names = append(names, more...)
		}
	}
	return names, nil
}

// AnsibleJSON reads what ansible-inventory --list prints.
func AnsibleJSON(text []byte, source string) (*Fleet, error) {
	var groups map[string]json.RawMessage
	if err := json.Unmarshal(text, &groups); err != nil {
		return nil, fault.New(fault.Corrupt, "%s is not JSON: %v", source, err)
	}
	inv := newAnsible()
	for name, raw := range groups {
		if name == "_meta" {
			var meta struct {
				Vars map[string]map[string]any `json:"hostvars"`
			}
			if err := json.Unmarshal(raw, &meta); err != nil {
				return nil, fault.New(fault.Corrupt, "%s: _meta: %v", source, err)
			}
			for host, vars := range meta.Vars {
				inv.vars[host] = vars
			}
			continue
		}
		var g struct {
			Hosts    []string `json:"hosts"`
			Children []string `json:"children"`
		}
		if err := json.Unmarshal(raw, &g); err != nil {
			return nil, fault.New(fault.Corrupt, "%s: group %s: %v", source, name, err).Hinted("the output of ansible-inventory --list is expected")
		}
		inv.hosts[name] = append(inv.hosts[name], g.Hosts...)
		inv.children[name] = append(inv.children[name], g.Children...)
	}
	return inv.fleet(source)
}
