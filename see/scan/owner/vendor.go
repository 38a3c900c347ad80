package owner

import "strings"

// Distributed tells whether a module lies where only a distribution's packages install modules: then it may be patched.
func Distributed(p string) bool {
	for _, dir := range []string{
		"/usr/lib/python3/dist-packages/", "/usr/share/java/", "/usr/share/maven-repo/", "/usr/share/nodejs/", "/usr/share/rubygems-integration/",
		"/usr/lib/ruby/vendor_ruby/", "/usr/lib/python3.", "/usr/lib64/python3.", "/usr/share/gems/",
	} {
		if strings.HasPrefix(p, dir) && !strings.HasPrefix(p, "/usr/local/") {
			return true
		}
	}
	return false
}

// Vendored tells whether a path is one where distributions install nothing: what a package put there comes from another vendor.
func Vendored(p string) bool {
	for _, dir := range []string{"/opt/", "/usr/local/", "/srv/", "/home/"} {
		if strings.HasPrefix(p, dir) {
			return true
		}
	}
	return false
}
