package keys

import (
	"path"
	"strings"

	"staunch/see/scan/jail"
)

// unitDirs are where systemd looks for a unit's files; all are read, for every one may add names.
func unitDirs() []string {
	return []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}
}

// unitFiles takes in the names of variables and credentials that a unit's own files give it: some programs write their title over the
// environment that they were started with, and then /proc shows it no more (nginx and postgres do). Values are not kept.
func (s *subject) unitFiles() {
	if !strings.HasSuffix(s.reader.Unit, ".service") {
		return
	}
	root, err := jail.Open(s.look.env.Root)
	if err != nil {
		s.unseen(s.reader.PID, s.look.env.Root, err.Error())
		return
	}
	defer root.Close()
	u := unit{subject: s, root: root}
	names := []string{s.reader.Unit}
	if template, _, is := strings.Cut(s.reader.Unit, "@"); is {
		names = append(names, template+"@.service")
	}
	for _, dir := range unitDirs() {
		for _, name := range names {
			u.file(path.Join(dir, name))
			dropins, _, err := root.Names(path.Join(dir, name+".d"), maxFiles)
			if err != nil {
				continue // most units have none
			}
			for _, one := range dropins {
				if strings.HasSuffix(one, ".conf") {
					u.file(path.Join(dir, name+".d", one))
				}
			}
		}
	}
}

// unit reads the files of one unit, in this machine's own root.
type unit struct {
	*subject
	root *jail.Root
}

func (u *unit) file(name string) {
	if _, err := u.root.Stat(name); err != nil {
		return
	}
	text, err := u.root.Read(name, maxText)
	if err != nil {
		u.unseen(u.reader.PID, name, err.Error())
		return
	}
	whole := strings.ReplaceAll(string(text), "\\\n", " ")
	for line := range strings.Lines(whole) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok {
			continue
		}
		u.says = key + " in " + name
		switch strings.TrimSpace(key) {
		case "ExecStart":
			u.start(value)
		case "Environment":
			for _, pair := range quoted(value) {
				u.variable(pair)
			}
		case "EnvironmentFile":
			file, optional := strings.CutPrefix(strings.TrimSpace(value), "-")
			if _, err := u.root.Stat(file); err != nil && optional && !strings.ContainsAny(file, "*?[%") {
				continue // it need not be there
			}
			u.variables(file)
		case "LoadCredential", "LoadCredentialEncrypted", "SetCredential", "SetCredentialEncrypted":
			id, _, _ := strings.Cut(strings.TrimSpace(value), ":")
			u.credential(id)
		}
	}
	u.says = ""
}

// start keeps a command line, with what the unit's name puts into it.
func (u *unit) start(line string) {
	_, instance, _ := strings.Cut(strings.TrimSuffix(u.reader.Unit, ".service"), "@")
	line = strings.NewReplacer("%i", instance, "%I", instance, "%%", "%").Replace(strings.TrimLeft(strings.TrimSpace(line), "-@:+!"))
	if words := quoted(line); len(words) > 0 && len(u.starts) < 100 {
		u.starts = append(u.starts, words)
	}
}

func (u *unit) variable(pair string) {
	name, value, ok := strings.Cut(pair, "=")
	if kind, is := secretName(name); ok && is && value != "" && len(name) <= 200 {
		u.secret(kind, name, "environment", "")
	}
}

// variables reads a file of NAME=VALUE lines; patterns are not followed, and said to be unseen.
func (u *unit) variables(file string) {
	if strings.ContainsAny(file, "*?[%") || !path.IsAbs(file) {
		u.unseen(u.reader.PID, file, "a file of variables that is named by a pattern: look there by hand")
		return
	}
	text, err := u.root.Read(file, maxText)
	if err != nil {
		u.unseen(u.reader.PID, file, err.Error())
		return
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, ";") {
			u.variable(line)
		}
	}
}

func (u *unit) credential(id string) {
	kind, is := secretName(id)
	if !is {
		kind = Other
	}
	if id != "" && len(id) <= 200 {
		u.secret(kind, id, "credential", "")
	}
}

// quoted splits a line of assignments as systemd does: by spaces, with quotes around a whole assignment.
func quoted(line string) []string {
	var words []string
	var word strings.Builder
	quote := rune(0)
	for _, r := range line + " " {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quote = r
		case r == ' ' || r == '\t':
			if word.Len() > 0 {
				words = append(words, word.String())
			}
			word.Reset()
		default:
			word.WriteRune(r)
		}
	}
	if word.Len() > 0 {
		words = append(words, word.String()) // an open quote: systemd would ignore the line, a leak would not
	}
	return words
}
