package lang

import (
	"bufio"
	"encoding/json"
	"io"
	"io/fs"
	"path"
	"strings"

	"staunch/pattern"
)

// maxMetadata bounds one metadata file; honest ones are below 300 KB.
const maxMetadata = 2 << 20

// Module tells which wheel, gem or Node module the file at name belongs to. name is absolute inside root, the file system of the
// process. ok is false when the path lies in none of their directories; a module whose metadata cannot be read has no version.
func Module(root fs.FS, name string) (found Found, ok bool) {
	switch {
	case strings.Contains(name, "/node_modules/"):
		return nodeModule(root, name)
	case strings.Contains(name, "/gems/") || strings.Contains(name, "/extensions/"):
		return gem(root, name)
	case strings.Contains(name, "/site-packages/") || strings.Contains(name, "/dist-packages/"):
		return wheel(root, name)
	}
	return Found{}, false
}

// nodeModule reads the package.json of the innermost package.
func nodeModule(root fs.FS, name string) (Found, bool) {
	at := strings.LastIndex(name, "/node_modules/") + len("/node_modules/")
	parts := strings.Split(name[at:], "/")
	n := 1
	if strings.HasPrefix(parts[0], "@") {
		n = 2
	}
	if len(parts) <= n {
		return Found{}, false
	}
	dir := name[:at] + strings.Join(parts[:n], "/")
	found := Found{Ecosystem: "npm", Name: clean(strings.Join(parts[:n], "/")), Path: name}
	var meta struct{ Name, Version string }
	if text, err := read(root, dir+"/package.json"); err == nil && json.Unmarshal(text, &meta) == nil {
		if real := clean(meta.Name); real != "" {
			found.Name = real
		}
		found.Version = clean(meta.Version)
		found.Facts = append(found.Facts, Fact{"metadata", "its package.json says so", dir + "/package.json"})
	} else {
		found.Facts = append(found.Facts, Fact{"name", "its directory says so", dir})
	}
	return found, found.Name != ""
}

// gemDir matches .../gems/nokogiri-1.13.10-x86_64-linux/... and .../extensions/x86_64-linux/3.1.0/nokogiri-1.13.10/...
var gemDir = pattern.New(`^(.*)/(?:gems|extensions/[^/]+/[^/]+)/([A-Za-z0-9_.\-]+?)-(\d[A-Za-z0-9.]*)(-[A-Za-z0-9_\-]+)?/`)

// gem takes name and version from the directory, as RubyGems itself does, and the specification beside it as proof.
func gem(root fs.FS, name string) (Found, bool) {
	m := gemDir.FindStringSubmatch(name)
	if m == nil {
		return Found{}, false
	}
	found := Found{Ecosystem: "RubyGems", Name: clean(m[2]), Version: clean(m[3]), Path: name}
	spec := m[1] + "/specifications/" + m[2] + "-" + m[3] + m[4] + ".gemspec"
	if text, err := read(root, spec); err == nil && strings.Contains(string(text), m[3]) {
		found.Facts = append(found.Facts, Fact{"metadata", "its gemspec says so", spec})
	} else {
		found.Facts = append(found.Facts, Fact{"name", "its directory says so", m[2] + "-" + m[3]})
	}
	return found, found.Name != ""
}

// wheel finds the distribution whose RECORD (wheels) or file list (eggs) names the file.
func wheel(root fs.FS, name string) (Found, bool) {
	site, rest := splitSite(name)
	entries, err := fs.ReadDir(root, strings.TrimPrefix(site, "/"))
	if err != nil {
		return Found{}, false
	}
	for _, e := range entries {
		var meta, list string
		switch {
		case strings.HasSuffix(e.Name(), ".dist-info"):
			meta, list = "METADATA", "RECORD"
		case strings.HasSuffix(e.Name(), ".egg-info") && e.IsDir():
			meta, list = "PKG-INFO", "top_level.txt"
		default:
			continue
		}
		dir := site + "/" + e.Name()
		if !lists(root, dir+"/"+list, rest, list == "RECORD") {
			continue
		}
		dist, version := pythonMeta(root, dir+"/"+meta)
		if dist == "" {
			continue
		}
		return Found{
			Ecosystem: "PyPI", Name: dist, Version: version, Path: name,
			Facts: []Fact{{"metadata", "its " + meta + " says so, and lists the file", dir + "/" + meta}},
		}, true
	}
	return Found{}, false
}

func splitSite(name string) (site, rest string) {
	for _, dir := range []string{"/site-packages/", "/dist-packages/"} {
		if i := strings.LastIndex(name, dir); i >= 0 {
			return name[:i+len(dir)-1], name[i+len(dir):]
		}
	}
	return "", ""
}

// lists reports whether the file list names rest; a top-level list names only its first element.
func lists(root fs.FS, list, rest string, exact bool) bool {
	text, err := read(root, list)
	if err != nil {
		return false
	}
	top, _, _ := strings.Cut(rest, "/")
	top, _, _ = strings.Cut(top, ".")
	lines := bufio.NewScanner(strings.NewReader(string(text)))
	for lines.Scan() {
		if exact {
			file, _, _ := strings.Cut(lines.Text(), ",")
			if strings.Trim(file, `"`) == rest {
				return true
			}
		} else if strings.TrimSpace(lines.Text()) == top {
			return true
		}
	}
	return false
}

// pythonMeta reads name and version of the e-mail-like header (PEP 566); the name is normalised (PEP 503).
func pythonMeta(root fs.FS, file string) (name, version string) {
	text, err := read(root, file)
	if err != nil {
		return "", ""
	}
	lines := bufio.NewScanner(strings.NewReader(string(text)))
	for lines.Scan() && lines.Text() != "" {
		key, value, _ := strings.Cut(lines.Text(), ":")
		switch key {
		case "Name":
			name = strings.ToLower(separators.ReplaceAllString(clean(value), "-"))
		case "Version":
			version = clean(value)
		}
	}
	return name, version
}

var separators = pattern.New(`[-_.]+`)

// read returns a small file of the process's own root.
func read(root fs.FS, name string) ([]byte, error) {
	f, err := root.Open(strings.TrimPrefix(path.Clean(name), "/"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxMetadata))
}
