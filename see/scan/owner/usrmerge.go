package owner

import (
	"strings"

	"staunch/see/scan/jail"
)

// aliases are the names under which packages may have recorded a path: after the merge of / and /usr a file that the kernel calls
// /usr/lib/x is often recorded as /lib/x.
type aliases struct{ merged []string }

// readAliases looks which top directories of a root are links into /usr.
func readAliases(root *jail.Root) aliases {
	var a aliases
	for _, name := range []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32", "libo32"} {
		if to, err := root.Readlink("/" + name); err == nil && strings.Trim(to, "/") == "usr/"+name {
			a.merged = append(a.merged, "/"+name+"/")
		}
	}
	return a
}

// of returns all names of a path, itself first.
func (a aliases) of(path string) []string {
	names := []string{path}
	if rest, ok := strings.CutPrefix(path, "/usr"); ok {
		for _, top := range a.merged {
			if strings.HasPrefix(rest, top) {
				names = append(names, rest)
			}
		}
	}
	return names
}
