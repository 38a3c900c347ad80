package owner

import (
	"strings"

	"staunch/see/scan/jail"
)

// diversions are the files that dpkg puts elsewhere because another package, or the administrator, asked for their names.
type diversions struct {
	from map[string]string // where the file lies, to the name that its package recorded
	by   map[string]string // recorded name to the package that took it over; ":" is the administrator
}

func readDiversions(root *jail.Root) diversions {
	b, err := root.Read(dpkgDir+"diversions", maxList)
	if err != nil {
		return diversions{} // without the file nothing is diverted
	}
	return parseDiversions(string(b))
}

// parseDiversions reads groups of three lines: original name, diverted name, package.
func parseDiversions(text string) diversions {
	d := diversions{from: map[string]string{}, by: map[string]string{}}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i := 0; i+2 < len(lines); i += 3 {
		d.from[lines[i+1]] = lines[i]
		d.by[lines[i]] = lines[i+2]
	}
	return d
}

// owns tells whether a package whose list holds name brought the file that lies at path (one of name's aliases, or where it was diverted to).
func (d diversions) owns(pkg, name, path string) bool {
	by, diverted := d.by[name]
	if !diverted {
		return true
	}
	bare, _, _ := strings.Cut(pkg, ":")
	away := d.from[path] == name || d.from[strings.TrimPrefix(path, "/usr")] == name
	return (bare == by) != away
}
