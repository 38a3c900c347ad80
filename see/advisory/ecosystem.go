package advisory

import "strings"

// Title writes an ecosystem for people: "Debian 12".
func Title(ecosystem string) string {
	name, release, _ := strings.Cut(ecosystem, ":")
	if name == "" {
		return "the distribution"
	}
	if name == "rhel" {
		return "Red Hat " + release
	}
	return strings.TrimSpace(strings.ToUpper(name[:1]) + name[1:] + " " + release)
}
