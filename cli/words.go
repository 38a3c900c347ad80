package cli

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"staunch/see/verdict"
	"staunch/tame"
)

// painter colours words when it is true.
type painter bool

func (p painter) wrap(code, s string) string {
	if !p {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p painter) bold(s string) string   { return p.wrap("1", s) }
func (p painter) dim(s string) string    { return p.wrap("2", s) }
func (p painter) red(s string) string    { return p.wrap("1;31", s) }
func (p painter) yellow(s string) string { return p.wrap("1;33", s) }
func (p painter) green(s string) string  { return p.wrap("32", s) }

// wrap prints text in lines that fit, each behind the indent.
func (t *table) wrap(b *strings.Builder, indent, text string) {
	room := max(t.width-len(indent), 20)
	line, length := indent, 0
	for i, word := range strings.Split(text, " ") {
		n := printed(word)
		if length > 0 && length+1+n > room {
			fmt.Fprintln(b, strings.TrimRight(line, " "))
			line, length = indent+"    ", 4
		} else if i > 0 {
			line += " "
			length++
		}
		line += word
		length += n
	}
	fmt.Fprintln(b, strings.TrimRight(line, " "))
}

// printed is how many columns a word takes; our own colours take none.
func printed(word string) int {
	n := utf8.RuneCountInString(word)
	for rest := word; ; {
		at := strings.Index(rest, "\x1b[")
		if at < 0 {
			return n
		}
		end := strings.IndexByte(rest[at:], 'm')
		if end < 0 {
			return n
		}
		n -= end + 1
		rest = rest[at+end+1:]
	}
}

// fit cuts a text to some columns.
func fit(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:max(width-1, 0)]) + "…"
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// few joins the first words and counts the rest.
func few(list []string, n int) string {
	if len(list) <= n+1 {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:n], ", "), len(list)-n)
}

func stateWord(s verdict.State) string { return strings.ReplaceAll(string(s), "_", " ") }

// title is what people call the finding's advisory.
func title(f verdict.Finding) string {
	if f.Advisory == "" {
		return count(f.Candidates, "advisory", "advisories")
	}
	return tame.Line(strings.TrimSpace(f.Advisory + " " + strings.Join(f.Names, ", ")))
}

// unitKey names what is restarted together: the container, the service, or what one program file runs without either.
func (t *table) unitKey(f verdict.Finding) string {
	switch {
	case f.Container != nil:
		return "container " + f.Container.ID
	case strings.HasSuffix(f.Unit, ".service"):
		return f.Unit
	}
	return fmt.Sprintf("%s %s %s", f.Unit, f.Process, t.exes[f.PID])
}

// unitTitle is the heading of everything that is restarted together.
func unitTitle(list ...verdict.Finding) string {
	f := list[0]
	switch {
	case f.Container != nil:
		return tame.Line(strings.TrimSpace(fmt.Sprintf("container %s %s", f.Container.ID[:min(12, len(f.Container.ID))], f.Container.Image)))
	case strings.HasSuffix(f.Unit, ".service"):
		return tame.Line(f.Unit)
	case f.PID != 0:
		var pids []string
		for _, one := range list {
			if pid := strconv.Itoa(one.PID); !slices.Contains(pids, pid) {
				pids = append(pids, pid)
			}
		}
		return tame.Line(fmt.Sprintf("%s (pid %s)", f.Process, few(pids, 5)))
	}
	return tame.Line(f.Process)
}

// about says who can reach the processes of a unit.
func about(doc *verdict.Document, list []verdict.Finding) string {
	pids := map[int]bool{}
	var ports []string
	for _, f := range list {
		pids[f.PID] = true
	}
	for i := range doc.Processes {
		if !pids[doc.Processes[i].PID] {
			continue
		}
		for _, l := range doc.Processes[i].Listens {
			if port := fmt.Sprintf("%s %d", l.Reach, l.Port); !slices.Contains(ports, port) {
				ports = append(ports, port)
			}
		}
	}
	e := list[0].Exposure
	line := map[string]string{"public": "PUBLIC", "internal": "internal network", "loopback": "loopback only", "none": "does not listen"}[e.In]
	if len(ports) > 0 {
		line = "listens: " + few(ports, 4)
	}
	if e.Out == "internet" {
		line += ", talks to the internet"
	}
	if len(pids) > 1 {
		line += fmt.Sprintf(", %d processes", len(pids))
	}
	return tame.Line(line)
}

// holds says which component is where.
func holds(f verdict.Finding) string {
	version := f.Version
	if version == "" {
		version = "(version unknown)"
	}
	s := fmt.Sprintf("%s %s", f.Component, version)
	switch {
	case f.Linkage == "static":
		s += " inside " + f.Path
	case f.Path != "":
		s += " in " + path.Base(f.Path)
	}
	if f.Package != "" {
		s += " (" + strings.Join(strings.Fields(f.Package)[1:], " ") + ")"
	}
	return tame.Line(s)
}

// cause is the sentence that decided.
func cause(f verdict.Finding) string {
	if len(f.Evidence) == 0 {
		return ""
	}
	return tame.Line(f.Evidence[0].Says)
}

func partKey(f verdict.Finding) string {
	return string(f.State) + f.Component + f.Version + f.Path + string(f.Fix.Kind) + f.Fix.Package
}

// advisoryWords lists advisories, worst first as the findings are.
func advisoryWords(list []verdict.Finding, n int) string {
	var all []string
	for _, f := range list {
		marks := []string{}
		if f.Severity != "" {
			marks = append(marks, string(f.Severity))
		}
		if f.KnownExploited {
			marks = append(marks, "known exploited")
		}
		text := title(f)
		if len(marks) > 0 {
			text += " (" + strings.Join(marks, ", ") + ")"
		}
		if !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return few(all, n)
}

// groupBy gathers what has the same key, in the order of its first appearance.
func groupBy[T any](list []T, key func(T) string) [][]T {
	at := map[string]int{}
	var groups [][]T
	for _, x := range list {
		k := key(x)
		i, known := at[k]
		if !known {
			i = len(groups)
			at[k] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], x)
	}
	return groups
}
