package settings

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// sources are the files that ssh's answers come from, and whether the answers depend on nothing else.
type sources struct {
	files []string // that exist, in the order of reading
	sum   string   // of their names and content, and of who asks on which machine
	plain bool     // false: also commands, names or the environment decide
}

const (
	maxFiles = 256
	maxBytes = 4 << 20 // of all files together
)

// elsewhere are places of the system's configuration that some distributions use: a file that appears there counts as a change.
func elsewhere() []string {
	return []string{"/usr/etc/ssh/ssh_config", "/usr/local/etc/ssh/ssh_config", "/usr/local/etc/ssh_config"}
}

// sources reads what ssh would read. It errs to the side of "not plain".
func (r *Reader) sources() sources {
	w := walk{home: r.Home, plain: true}
	if r.File != "" {
		w.file(r.File, filepath.Join(r.Home, ".ssh"), 0)
	} else {
		w.file(filepath.Join(r.Home, ".ssh", "config"), filepath.Join(r.Home, ".ssh"), 0)
		w.file("/etc/ssh/ssh_config", "/etc/ssh", 0)
	}
	machine, err := os.Hostname()
	w.plain = w.plain && err == nil
	whole := sha256.New()
	fmt.Fprintf(whole, "1\n%q %q %q %q %d %q\n", r.Program, identity(r.Program), r.Home, r.User, os.Getuid(), machine)
	for _, path := range elsewhere() {
		fmt.Fprintf(whole, "%q %q\n", path, identity(path))
	}
	for i, path := range w.files {
		fmt.Fprintf(whole, "%q %d\n", path, len(w.texts[i]))
		whole.Write(w.texts[i])
	}
	return sources{files: w.files, sum: hex.EncodeToString(whole.Sum(nil)), plain: w.plain}
}

// identity tells one state of a file from another without reading it.
func identity(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%d %d", info.Size(), info.ModTime().UnixNano())
}

// same tells whether ssh read exactly the files that were expected: if not, we do not understand this configuration.
func (s sources) same(files []string) bool {
	files = slices.DeleteFunc(slices.Clone(files), func(f string) bool { return !strings.HasPrefix(f, "/") })
	for i, f := range files {
		// "FILE depth N" where it was included
		if at := strings.LastIndex(f, " depth "); at > 0 {
			files[i] = f[:at]
		}
	}
	return slices.Equal(files, s.files)
}

// walk reads configuration files and those that they include.
type walk struct {
	home  string
	files []string
	texts [][]byte
	bytes int
	plain bool
}

func (w *walk) file(path, base string, depth int) {
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return
	}
	w.bytes += len(text)
	if err != nil || depth > 16 || len(w.files) >= maxFiles || w.bytes > maxBytes || !filepath.IsAbs(path) {
		w.plain = false
		return
	}
	w.files, w.texts = append(w.files, path), append(w.texts, text)
	for line := range strings.Lines(string(text)) {
		w.line(strings.TrimSpace(line), base, depth)
	}
}

// line looks for what makes an answer depend on more than the files.
func (w *walk) line(line, base string, depth int) {
	if line == "" || line[0] == '#' {
		return
	}
	at := strings.IndexAny(line, " \t=")
	if at < 0 {
		return
	}
	key, value := strings.ToLower(line[:at]), strings.Trim(line[at:], " \t=")
	switch {
	case strings.Contains(value, "${"):
		w.plain = false // the environment
	case key == "include":
		w.include(value, base, depth)
	case key == "match":
		w.plain = w.plain && plainMatch(value)
	case key == "canonicalizehostname":
		w.plain = w.plain && strings.EqualFold(value, "no") // else the name service
	}
}

// include follows an Include. Where it stands does not matter: ssh names all files that it reads, and the lists must be equal.
func (w *walk) include(value, base string, depth int) {
	if strings.ContainsAny(value, `"'%\`) {
		w.plain = false
		return
	}
	for pattern := range strings.FieldsSeq(value) {
		if rest, home := strings.CutPrefix(pattern, "~/"); home {
			pattern = filepath.Join(w.home, rest)
		} else if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(base, pattern)
		}
		found, err := filepath.Glob(pattern)
		if err != nil {
			w.plain = false
			return
		}
		for _, path := range found {
			w.file(path, base, depth+1)
		}
	}
}

// plainMatch accepts criteria that only look at names: no commands, no networks, no second pass.
func plainMatch(value string) bool {
	words := strings.Fields(value)
	if len(words) == 1 {
		return strings.EqualFold(words[0], "all")
	}
	if len(words)%2 != 0 || strings.ContainsAny(value, `"'=`) {
		return false
	}
	for i := 0; i < len(words); i += 2 {
		switch strings.ToLower(strings.TrimPrefix(words[i], "!")) {
		case "host", "originalhost", "user", "localuser":
		default:
			return false
		}
	}
	return true
}
