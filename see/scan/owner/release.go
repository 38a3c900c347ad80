package owner

import (
	"strings"

	"staunch/see/scan/jail"
)

// Release is what os-release says of a root: which distribution's data apply to its packages.
type Release struct {
	ID      string // debian, ubuntu, alpine, rhel ...
	Version string // VERSION_ID; "" on rolling releases
}

const maxRelease = 64 << 10

// ReadRelease reads a root's os-release; the zero value when it has none.
func ReadRelease(root *jail.Root) Release {
	for _, path := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		if b, err := root.Read(path, maxRelease); err == nil {
			return parseRelease(string(b))
		}
	}
	return Release{}
}

// parseRelease reads NAME=value lines with the quoting of os-release(5).
func parseRelease(text string) Release {
	var r Release
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok {
			continue
		}
		switch name {
		case "ID":
			r.ID = unquote(value)
		case "VERSION_ID":
			r.Version = unquote(value)
		}
	}
	return r
}

// unquote undoes the shell's quotes and backslashes.
func unquote(s string) string {
	quote := byte(0)
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		quote, s = s[0], s[1:len(s)-1]
	}
	if quote == '\'' || !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		out.WriteByte(s[i])
	}
	return out.String()
}
