package feed

import (
	"net/url"
	"strings"
)

// Source is one place where advisories come from.
type Source struct {
	Name string // "debian", "kev": the name of its file and of --only
	Kind string // osv, kev, epss
	URL  string
	// Mirrored is the path below a mirror.
	Mirrored string
	// Notices are prefixes of record ids that only repeat, less exactly, what the source's records per CVE say.
	Notices []string
}

// osvBase is where OSV publishes its exports (https://google.github.io/osv.dev/data/).
const osvBase = "https://osv-vulnerabilities.storage.googleapis.com/"

// Sources lists everything that staunch advisories update fetches.
func Sources() []Source {
	list := []Source{
		osv("debian", "Debian", "DSA-", "DLA-", "DTSA-"), osv("ubuntu", "Ubuntu", "USN-", "LSN-"), osv("alpine", "Alpine"),
		osv("redhat", "Red Hat"), osv("rocky", "Rocky Linux"), osv("almalinux", "AlmaLinux"),
		osv("go", "Go"), osv("npm", "npm"), osv("pypi", "PyPI"), osv("maven", "Maven"), osv("rubygems", "RubyGems"), osv("crates", "crates.io"),
		{Name: "kev", Kind: "kev", URL: "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json", Mirrored: "kev.json"},
		{Name: "epss", Kind: "epss", URL: "https://epss.empiricalsecurity.com/epss_scores-current.csv.gz", Mirrored: "epss.csv.gz"},
	}
	return list
}

func osv(name, ecosystem string, notices ...string) Source {
	path := url.PathEscape(ecosystem) + "/all.zip"
	return Source{Name: name, Kind: "osv", URL: osvBase + path, Mirrored: "osv/" + path, Notices: notices}
}

// at returns where to fetch a source from: its own place, or the same path below a mirror.
func (s Source) at(mirror string) string {
	if mirror == "" {
		return s.URL
	}
	return strings.TrimSuffix(mirror, "/") + "/" + s.Mirrored
}
