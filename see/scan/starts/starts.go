// Package starts finds what does not run on a machine but can start: units, timers, cron, init scripts, programs, files of a tree.
package starts

import (
	"maps"
	"path"
	"slices"
	"strings"

	"staunch/see/scan/jail"
)

// Starter is a program that something will start one day.
type Starter struct {
	Path string // absolute, below the root
	How  string // unit, timer, cron, init, path; for files of a tree what the caller says
	Unit string // the unit or file that names it
}

const (
	maxUnitFile = 1 << 20
	maxInDir    = 50_000
)

// unitDirs hold systemd's units, the stronger first, then those that every user's own manager can start.
func unitDirs() []string {
	return []string{
		"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
		"/etc/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user",
	}
}

// Units lists the programs of services, and of services that a timer starts, with what drop-ins add. A masked unit starts nothing.
func Units(root *jail.Root) []Starter {
	texts := map[string]string{}
	more := map[string]string{} // what drop-ins say
	for _, dir := range unitDirs() {
		names, _, err := root.Names(dir, maxInDir)
		if err != nil {
			continue // not every machine has every directory
		}
		for _, name := range names {
			if unit, ok := strings.CutSuffix(name, ".d"); ok && isUnit(unit) {
				more[unit] += dropIns(root, path.Join(dir, name))
			} else if isUnit(name) && texts[name] == "" {
				texts[name] = unitText(root, path.Join(dir, name))
			}
		}
	}
	timed := map[string]bool{}
	for name, text := range texts {
		if timer, ok := strings.CutSuffix(name, ".timer"); ok && text != masked {
			timed[timerTarget(timer, text+more[name])] = true
		}
	}
	var out []Starter
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if texts[name] == masked {
			continue
		}
		how := "unit"
		if timed[name] {
			how = "timer"
		}
		for _, program := range unitPrograms(texts[name] + more[name]) {
			out = append(out, Starter{Path: program, How: how, Unit: name})
		}
	}
	return out
}

func isUnit(name string) bool {
	return strings.HasSuffix(name, ".service") || strings.HasSuffix(name, ".timer")
}

// masked stands for a unit that an administrator switched off: an empty file, or a link to /dev/null (systemd.unit(5)).
const masked = "\n"

// unitText is the text of a unit's file, "" when it cannot be had: then a weaker directory's counts.
func unitText(root *jail.Root, file string) string {
	if to, err := root.Readlink(file); err == nil && to == "/dev/null" {
		return masked
	}
	b, err := root.Read(file, maxUnitFile)
	if err != nil {
		return "" // a link that leads nowhere
	}
	return string(b) + "\n"
}

// dropIns are the texts of a directory that adds to a unit.
func dropIns(root *jail.Root, dir string) string {
	names, _, err := root.Names(dir, maxInDir)
	if err != nil {
		return "" // not there any more
	}
	var out strings.Builder
	for _, name := range names {
		if b, err := root.Read(path.Join(dir, name), maxUnitFile); err == nil && strings.HasSuffix(name, ".conf") && out.Len() < maxUnitFile {
			out.Write(b)
			out.WriteByte('\n')
		}
	}
	return out.String()
}

// timerTarget is what a timer starts: Unit=, else the service of its own name.
func timerTarget(name, text string) string {
	for line := range strings.Lines(text) {
		if unit, ok := strings.CutPrefix(strings.TrimSpace(line), "Unit="); ok {
			return strings.TrimSpace(unit)
		}
	}
	return name + ".service"
}

// unitPrograms finds the absolute paths that Exec lines start: the first word without systemd's marks, and every further word that is
// an absolute path (programs started by a shell or a wrapper).
func unitPrograms(text string) []string {
	var out []string
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || !strings.HasPrefix(key, "Exec") {
			continue
		}
		value = strings.TrimLeft(value, "-@:+!| ")
		out = append(out, absoluteWords(value)...)
	}
	return out
}

// absoluteWords are the words of a command line that name a file by an absolute path.
func absoluteWords(line string) []string {
	var out []string
	for word := range strings.FieldsFuncSeq(line, func(r rune) bool { return strings.ContainsRune(" \t\"'`;|&()<>={}$,\n", r) }) {
		if strings.HasPrefix(word, "/") && len(word) > 1 && path.Clean(word) == word && len(word) < 4096 {
			out = append(out, word)
		}
	}
	return out
}

// Crons lists what cron starts: programs named in tables, and the files of the periodic directories with the programs named in them.
func Crons(root *jail.Root) []Starter {
	var files []string
	for _, dir := range []string{
		"/etc/cron.d", "/var/spool/cron/crontabs", "/var/spool/cron", "/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly",
		"/etc/cron.monthly", "/etc/periodic/15min", "/etc/periodic/hourly", "/etc/periodic/daily",
	} {
		files = append(files, inDir(root, dir)...)
	}
	return namedIn(root, append(files, "/etc/crontab", "/etc/anacrontab"), "cron")
}

// Inits lists what init scripts start.
func Inits(root *jail.Root) []Starter {
	return namedIn(root, append(inDir(root, "/etc/init.d"), "/etc/rc.local", "/etc/inittab"), "init")
}

func inDir(root *jail.Root, dir string) []string {
	names, _, err := root.Names(dir, maxInDir)
	if err != nil {
		return nil // not there
	}
	for i := range names {
		names[i] = path.Join(dir, names[i])
	}
	return names
}

// namedIn lists files that are started themselves, and the programs that their text names.
func namedIn(root *jail.Root, files []string, how string) []Starter {
	var out []Starter
	for _, file := range files {
		b, err := root.Read(file, maxUnitFile)
		if err != nil {
			continue // a directory, or not there
		}
		out = append(out, Starter{Path: file, How: how, Unit: file})
		for line := range strings.Lines(string(b)) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "#") {
				continue
			}
			for _, word := range absoluteWords(line) {
				out = append(out, Starter{Path: word, How: how, Unit: file})
			}
		}
	}
	return out
}

// pathDirs are searched by every shell.
func pathDirs() []string {
	return []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}
}

// Programs lists the files of the PATH directories; a directory that is only another's name counts once.
func Programs(root *jail.Root) []Starter {
	var out []Starter
	for _, dir := range pathDirs() {
		if st, err := root.Lstat(dir); err != nil || st.Mode&0o170000 == 0o120000 {
			continue // missing, or a link into /usr
		}
		for _, file := range inDir(root, dir) {
			out = append(out, Starter{Path: file, How: "path"})
		}
	}
	return out
}
