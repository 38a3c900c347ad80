package tell

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"staunch/ink"
	"staunch/see/verdict"
	"staunch/tame"
)

// Finding is one line: its state, who runs it, which advisory, and which code where.
func Finding(f verdict.Finding) string {
	return fmt.Sprintf("%s  %s  %s: %s", stateWord(f.State), unitTitle(f), title(f), holds(f))
}

func stateWord(s verdict.State) string { return strings.ReplaceAll(string(s), "_", " ") }

// title is what people call the finding's advisory.
func title(f verdict.Finding) string {
	if f.Advisory == "" {
		return ink.Count(f.Candidates, "advisory", "advisories")
	}
	return tame.Line(strings.TrimSpace(f.Advisory + " " + strings.Join(f.Names, ", ")))
}

// unitKey names what is restarted together: the container, the service, or what one program file runs without either.
func (t Table) unitKey(f verdict.Finding) string {
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
		return tame.Line(fmt.Sprintf("%s (pid %s)", f.Process, ink.Few(pids, 5)))
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
		line = "listens: " + ink.Few(ports, 4)
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
		where := ""
		if f.State == verdict.Stale {
			where = "on disk now: "
		}
		s += " (" + where + strings.Join(strings.Fields(f.Package)[1:], " ") + ")"
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
	return ink.Few(all, n)
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
