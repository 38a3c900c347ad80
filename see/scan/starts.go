package scan

import (
	"path"
	"strings"

	"staunch/see/scan/jail"
)

// starter is a program that something will start one day.
type starter struct {
	path string
	how  string // unit, timer, cron, init, path, opt, image
	unit string
}

const (
	maxUnitFile = 1 << 20
	maxInDir    = 50_000
)

// unitDirs hold systemd's units, the stronger first.
func unitDirs() []string {
	return []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}
}

// units lists the programs of services, and of services that a timer starts.
func units(root *jail.Root) []starter {
	texts := map[string]string{}
	timed := map[string]bool{}
	var order []string
	for _, dir := range unitDirs() {
		names, _, err := root.Names(dir, maxInDir)
		if err != nil {
			continue // not every machine has every directory
		}
		for _, name := range names {
			if !strings.HasSuffix(name, ".service") && !strings.HasSuffix(name, ".timer") || texts[name] != "" {
				continue
			}
			b, err := root.Read(path.Join(dir, name), maxUnitFile)
			if err != nil {
				continue // masked (a link to /dev/null) or a link that leads nowhere: nothing to start
			}
			texts[name] = string(b) + "\n"
			order = append(order, name)
		}
	}
	for _, name := range order {
		if timer, ok := strings.CutSuffix(name, ".timer"); ok {
			timed[timerTarget(timer, texts[name])] = true
		}
	}
	var out []starter
	for _, name := range order {
		how := "unit"
		if timed[name] {
			how = "timer"
		}
		for _, program := range unitPrograms(texts[name]) {
			out = append(out, starter{path: program, how: how, unit: name})
		}
	}
	return out
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

// crons lists what cron starts: programs named in tables, and the files of the periodic directories with the programs named in them.
func crons(root *jail.Root) []starter {
	var files []string
	for _, dir := range []string{
		"/etc/cron.d", "/var/spool/cron/crontabs", "/var/spool/cron", "/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly",
		"/etc/cron.monthly", "/etc/periodic/15min", "/etc/periodic/hourly", "/etc/periodic/daily",
	} {
		files = append(files, inDir(root, dir)...)
	}
	return namedIn(root, append(files, "/etc/crontab", "/etc/anacrontab"), "cron")
}

// inits lists what init scripts start.
func inits(root *jail.Root) []starter {
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
func namedIn(root *jail.Root, files []string, how string) []starter {
	var out []starter
	for _, file := range files {
		b, err := root.Read(file, maxUnitFile)
		if err != nil {
			continue // a directory, or not there
		}
		out = append(out, starter{path: file, how: how, unit: file})
		for line := range strings.Lines(string(b)) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "#") {
				continue
			}
			for _, word := range absoluteWords(line) {
				out = append(out, starter{path: word, how: how, unit: file})
			}
		}
	}
	return out
}

// pathDirs are searched by every shell.
func pathDirs() []string {
	return []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}
}

// programs lists the files of the PATH directories; a directory that is only another's name counts once.
func programs(root *jail.Root) []starter {
	var out []starter
	for _, dir := range pathDirs() {
		if st, err := root.Lstat(dir); err != nil || st.Mode&0o170000 == 0o120000 {
			continue // missing, or a link into /usr
		}
		for _, file := range inDir(root, dir) {
			out = append(out, starter{path: file, how: "path"})
		}
	}
	return out
}
