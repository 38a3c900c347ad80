package lang

import (
	"path"
	"strings"
)

// ClassPath returns the jars that a JVM's command line names, as absolute paths inside the process's root. A "dir/*" stands for every
// jar of the directory and is returned as it is. Argument files ("@file") and manifests' Class-Path are the caller's to read: jars that
// the JVM really uses are open as well.
func ClassPath(args []string, cwd string) []string {
	var out []string
	add := func(list string) {
		for _, p := range strings.Split(list, ":") {
			if p == "" || (!IsJar(p) && !strings.HasSuffix(p, "/*") && p != "*") {
				continue
			}
			if !path.IsAbs(p) {
				p = path.Join(cwd, p)
			}
			out = append(out, path.Clean(p))
		}
	}
	for i := 1; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "-cp" || a == "-classpath" || a == "--class-path" || a == "-p" || a == "--module-path":
			if i++; i < len(args) {
				add(args[i])
			}
		case a == "-jar":
			if i++; i < len(args) {
				add(args[i])
			}
			return out // the rest belongs to the program
		case strings.HasPrefix(a, "--class-path=") || strings.HasPrefix(a, "--module-path="):
			_, list, _ := strings.Cut(a, "=")
			add(list)
		case strings.HasPrefix(a, "-javaagent:"):
			agent, _, _ := strings.Cut(strings.TrimPrefix(a, "-javaagent:"), "=")
			add(agent)
		case !strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "@"):
			return out // the main class
		}
	}
	return out
}
