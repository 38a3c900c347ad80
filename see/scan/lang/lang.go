// Package lang reads what interpreters and virtual machines load: jars, wheels, gems and Node modules, by content.
package lang

import (
	"bytes"
	"strings"

	"staunch/pattern"
)

// Found is one component in a file that a process has open, mapped or on its class path.
type Found struct {
	Ecosystem string // Maven, PyPI, RubyGems, npm
	Name      string // as that ecosystem's advisories spell it: group:artifact, normalised PyPI name, gem, @scope/package
	Version   string // "" when nothing in the file tells it
	Path      string // the file, then "!/" and the inner path for each level of nesting
	Facts     []Fact
	// Marks are the answers to the marks asked about this component: mark id to "the entry is there".
	Marks map[string]bool
}

// Fact is one reason to believe a Found, strongest first.
type Fact struct {
	Kind   string // metadata, code, name
	Says   string
	Detail string
}

// Mark is a question about an archive's entries: is any of these files in it?
// A mark's component is reported also where its own metadata was thrown away (shaded jars), because its code is there.
type Mark struct {
	ID        string
	Ecosystem string
	Component string
	Entries   []string
}

// clean keeps what a name or version may hold; anything else in metadata is somebody's attempt at something.
func clean(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > 256 || !plainText.MatchString(s) {
		return ""
	}
	return s
}

var plainText = pattern.New(`^[A-Za-z0-9@][A-Za-z0-9._:+~@/\-]*$`)

// Carries tells paths that are worth a look from all the others that a process has open.
func Carries(path []byte) bool {
	if at := bytes.LastIndexByte(path, '.'); at >= 0 && len(path)-at < 8 && IsJar(string(path[at:])) {
		return true
	}
	for _, dir := range treeDirs() {
		if bytes.Contains(path, []byte(dir)) {
			return true
		}
	}
	return false
}

// treeDirs are the directories that modules of languages lie in.
func treeDirs() [5]string {
	return [...]string{"/node_modules/", "/site-packages/", "/dist-packages/", "/gems/", "/extensions/"}
}

// InTree tells whether a file lies where a language keeps its modules.
func InTree(name string) bool {
	for _, dir := range treeDirs() {
		if strings.Contains(name, dir) {
			return true
		}
	}
	return false
}
