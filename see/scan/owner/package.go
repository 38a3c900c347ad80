// Package owner tells which installed package a file belongs to, read in the file's own root.
package owner

// Package is one installed package as its package manager recorded it.
type Package struct {
	Type          string `json:"type"` // deb, rpm, apk
	Name          string `json:"name"`
	Version       string `json:"version"`
	Arch          string `json:"arch,omitempty"`
	Source        string `json:"source"` // source package's name: what advisories name
	SourceVersion string `json:"source_version,omitempty"`
	Distro        string `json:"distro,omitempty"`  // ID of os-release: debian, ubuntu, alpine, rhel ...
	Release       string `json:"release,omitempty"` // VERSION_ID of os-release
	// Intact tells whether the mapped object still is the packaged file: "yes", "no", or "unknown" (no checksum recorded, not looked at).
	// "was" is not a host's own answer: the very bytes were seen as this package's file before the file was replaced (see inventory).
	Intact string `json:"intact,omitempty"`
}

// Was is the value of Intact for bytes that were a package's own when they were last compared.
const Was = "was"
