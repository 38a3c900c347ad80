package borrow

import (
	"path"
	"slices"
	"strings"

	"staunch/fault"
	"staunch/reach/fleet"
)

// Files is how an ssh configuration reads what it includes; either may be nil.
type Files struct {
	Read func(name string) ([]byte, error)
	Glob func(pattern string) ([]string, error)
}

// SSHConfig takes the host names of an ssh configuration: entries without wildcards, also of included files. How to reach them stays
// the configuration's own business.
func SSHConfig(text []byte, source string, files Files) (*fleet.Fleet, error) {
	names, err := sshNames(text, source, files, 0)
	if err != nil {
		return nil, err
	}
	var hosts []fleet.Host
	for _, n := range names {
		if h := (fleet.Host{Name: n}); h.Wrong() == "" && !slices.Contains(forges(), n) {
			hosts = append(hosts, h)
		}
	}
	return fleet.Of(source, hosts), nil
}

// forges are names in ssh configurations that are nobody's own hosts.
func forges() []string { return []string{"github.com", "gitlab.com", "bitbucket.org", "codeberg.org"} }

func sshNames(text []byte, source string, files Files, depth int) ([]string, error) {
	if depth > 8 {
		return nil, fault.New(fault.Usage, "%s: files are included too deeply", source)
	}
	var names []string
	for n, line := range fleet.Lines(text) {
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
				return nil, fleet.At(source, n, err)
			}
			names = append(names, more...)
		}
		if len(names) > fleet.MaxHosts {
			return nil, fault.New(fault.Full, "%s names over %d hosts", source, fleet.MaxHosts)
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
				return nil, fault.New(fault.NotFound, "cannot read %s: %v", file, err)
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
