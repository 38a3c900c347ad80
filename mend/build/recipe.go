// Package build makes a library from pinned source on one machine, so that it is known by its content before anybody votes on installing it.
package build

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path/filepath"
	"time"

	"staunch/fault"
	"staunch/pattern"
	"staunch/reach/act"
)

// Schema is the version of a recipe and of what was built. Fields are only added.
const Schema = 1

// Recipe says from which source a library is built and how. Commands are lists of arguments; no shell reads them.
type Recipe struct {
	Schema   int        `json:"schema"`
	Package  string     `json:"package"` // binary package whose library this one stands in for
	Says     string     `json:"says"`    // for the voters: "tally 1.1 with the upstream patch for CVE-..."
	Source   string     `json:"source"`  // tar archive (plain, gzip or bzip2), relative to the recipe
	SHA256   string     `json:"sha256"`  // of the archive, lower-case hex
	Commands [][]string `json:"commands"`
	Output   string     `json:"output"` // the library, relative to where the commands run
	Path     string     `json:"path"`   // where it goes on hosts
	Links    []string   `json:"links,omitempty"`
	LimitS   int        `json:"limit_s,omitempty"` // for all commands together, in seconds; 0: 1,800
}

// Made is a library that was built: what the planner and the voters need to know of it.
type Made struct {
	Schema  int       `json:"schema"`
	Package string    `json:"package"`
	Says    string    `json:"says"`
	Source  string    `json:"source_sha256"`
	Recipe  string    `json:"recipe_sha256"`
	File    string    `json:"file"`   // beside this description
	SHA256  string    `json:"sha256"` // of the file
	Object  string    `json:"object"` // scan's object id
	Soname  string    `json:"soname"`
	Arch    string    `json:"arch"` // as uname -m says
	Path    string    `json:"path"`
	Links   []string  `json:"links,omitempty"`
	Host    string    `json:"host"`  // that built it
	Built   time.Time `json:"built"` //
}

const (
	maxRecipe = 1 << 20
	usualTime = 30 * time.Minute
)

var (
	reHex     = pattern.New(`^[0-9a-f]{64}$`)
	rePackage = pattern.New(`^[A-Za-z0-9][A-Za-z0-9+._-]{0,199}$`)
)

// Read reads a recipe strictly and says what is wrong with it.
func Read(text []byte) (Recipe, error) {
	var r Recipe
	if err := strict(text, &r); err != nil {
		return r, fault.New(fault.Usage, "the recipe: %v", err).Hinted("docs/build.md shows one")
	}
	with := act.InstallLibWith{SHA256: r.SHA256, Path: r.Path, Links: r.Links}
	switch {
	case r.Schema != Schema:
		return r, fault.New(fault.Unsupported, "the recipe has schema %d, this program reads %d", r.Schema, Schema)
	case !rePackage.MatchString(r.Package):
		return r, fault.New(fault.Usage, "the recipe does not name the package that it stands in for")
	case !reHex.MatchString(r.SHA256):
		return r, fault.New(fault.Usage, "the source is not pinned: sha256 is not 64 lower-case hex digits").Hinted("sha256sum %s", r.Source)
	case !local(r.Source) || !local(r.Output):
		return r, fault.New(fault.Usage, "source and output are relative paths that stay inside")
	case len(r.Commands) == 0:
		return r, fault.New(fault.Usage, "the recipe has no commands")
	case r.Says == "":
		return r, fault.New(fault.Usage, "the recipe does not say what it builds: voters read that")
	}
	for _, c := range r.Commands {
		if len(c) == 0 || c[0] == "" {
			return r, fault.New(fault.Usage, "a command without a program")
		}
	}
	if err := with.Validate(); err != nil {
		return r, fault.New(fault.Usage, "the recipe: %v", err)
	}
	return r, nil
}

// ReadMade reads the description of a library that was built.
func ReadMade(text []byte) (Made, error) {
	var m Made
	if err := strict(text, &m); err != nil {
		return m, fault.New(fault.Usage, "the description of what was built: %v", err)
	}
	with := act.InstallLibWith{SHA256: m.SHA256, Path: m.Path, Links: m.Links}
	switch {
	case m.Schema != Schema:
		return m, fault.New(fault.Unsupported, "what was built is described in schema %d, this program reads %d", m.Schema, Schema)
	case !rePackage.MatchString(m.Package) || !reHex.MatchString(m.Object) || !reHex.MatchString(m.Source) || !local(m.File) || m.Arch == "":
		return m, fault.New(fault.Usage, "the description of what was built lacks its package, object, source, file or architecture")
	}
	return m, with.Validate()
}

func strict(text []byte, into any) error {
	if len(text) > maxRecipe {
		return fault.New(fault.Full, "it has %d bytes, the limit is %d", len(text), maxRecipe)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}

func local(path string) bool { return path != "" && filepath.IsLocal(path) }

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
