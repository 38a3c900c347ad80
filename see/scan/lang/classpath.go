package lang

import (
	"net/url"
	"path"
	"slices"
	"strings"
)

// Launch is how a Java virtual machine was started, as its process shows it.
type Launch struct {
	Args []string          // the whole command line, the program first
	Env  map[string]string // of the environment, only JVMVariables count
	Cwd  string
	Open func(path string) ([]byte, error) // reads an argument file; nil: there are none to read
}

// JVMVariables are the environment's names that can change what a Java virtual machine loads.
func JVMVariables() []string {
	return []string{"CLASSPATH", "JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS"}
}

// ClassPath returns the archives that a Java virtual machine was told to load from, as absolute paths inside the process's root, and the
// argument files that could not be read. A "dir/*" stands for every jar of the directory and is returned as it is; directories of classes
// and files of unusual names are returned too, for any file may be an archive. What a manifest's Class-Path adds is in Archive.ClassPath.
// The rules are those of the java launcher: https://docs.oracle.com/en/java/javase/21/docs/specs/man/java.html.
func (l Launch) ClassPath() (paths, unread []string) {
	c := classPath{Launch: l}
	c.vm(words(l.Env["JAVA_TOOL_OPTIONS"]))
	args := c.expand(words(l.Env["JDK_JAVA_OPTIONS"]))
	if len(l.Args) > 1 {
		args = append(args, c.expand(l.Args[1:])...)
	}
	c.launcher(args)
	c.vm(words(l.Env["_JAVA_OPTIONS"]))
	switch {
	case c.jar != "":
		c.classes = c.jar
	case !c.given:
		c.classes = l.Env["CLASSPATH"]
	}
	c.add(c.classes)
	return c.out, c.unread
}

type classPath struct {
	Launch
	classes     string // the last class path that was given
	given       bool
	jar         string // of -jar, which replaces every class path
	out, unread []string
}

// add appends a list of paths; an empty one means the directory it was started in.
func (c *classPath) add(list string) {
	for _, p := range strings.Split(list, ":") {
		if p == "" || len(c.out) >= maxClassPath {
			continue
		}
		if !path.IsAbs(p) {
			p = path.Join(c.Cwd, p)
		}
		if p = path.Clean(p); !slices.Contains(c.out, p) {
			c.out = append(c.out, p)
		}
	}
}

const (
	maxClassPath = 16384
	maxArguments = 65536
)

// vm takes options that the virtual machine itself reads; it tells whether a was one of them.
func (c *classPath) vm(args []string) {
	for _, a := range args {
		c.option(a)
	}
}

func (c *classPath) option(a string) {
	switch key, value, _ := strings.Cut(a, "="); {
	case key == "-Djava.class.path":
		c.classes, c.given = value, true
	case key == "--class-path" && value != "":
		c.classes, c.given = value, true
	case key == "-Djdk.module.path" || key == "--module-path" || key == "--upgrade-module-path" || key == "--patch-module":
		if _, of, ok := strings.Cut(value, "="); ok && key == "--patch-module" {
			value = of
		}
		c.add(value)
	case strings.HasPrefix(a, "-javaagent:"):
		agent, _, _ := strings.Cut(strings.TrimPrefix(a, "-javaagent:"), "=")
		c.add(agent)
	case strings.HasPrefix(a, "-Xbootclasspath/a:"):
		c.add(strings.TrimPrefix(a, "-Xbootclasspath/a:"))
	}
}

// takesNext tells options of the launcher whose value is the next argument.
func takesNext(option string) bool {
	return slices.Contains([]string{
		"-cp", "-classpath", "--class-path", "-p", "--module-path", "--upgrade-module-path", "--patch-module", "-d", "--describe-module", "--source",
		"--add-modules", "--limit-modules", "--add-reads", "--add-exports", "--add-opens", "--enable-native-access",
	}, option)
}

// launcher reads the arguments up to the main class; what follows belongs to the program.
func (c *classPath) launcher(args []string) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		next := ""
		if i+1 < len(args) {
			next = args[i+1]
		}
		switch {
		case a == "-cp" || a == "-classpath" || a == "--class-path":
			c.classes, c.given = next, true
			i++
		case a == "-p" || a == "--module-path" || a == "--upgrade-module-path" || a == "--patch-module":
			c.option(map[bool]string{true: "--module-path", false: a}[a == "-p"] + "=" + next)
			i++
		case a == "-jar":
			c.jar = next
			return
		case a == "-m" || a == "--module" || strings.HasPrefix(a, "--module="):
			return
		case takesNext(a):
			i++
		case strings.HasPrefix(a, "-"):
			c.option(a)
		default:
			return // the main class
		}
	}
}

// expand replaces argument files by what they hold, up to the main class. They do not nest.
func (c *classPath) expand(args []string) []string {
	var out []string
	program, value := false, false // the rest is the program's; the next one belongs to the option before it
	push := func(a string) {
		out = append(out, a)
		program = program || !value && (a == "-jar" || a == "-m" || a == "--module" || !strings.HasPrefix(a, "-"))
		value = !value && takesNext(a)
	}
	for i, a := range args {
		switch {
		case program || len(out) >= maxArguments:
			return append(out, args[i:min(len(args), i+1)]...)
		case a == "--disable-@files":
			return append(out, args[i+1:]...)
		case strings.HasPrefix(a, "@@"):
			push(a[1:])
		case strings.HasPrefix(a, "@") && len(a) > 1:
			for _, word := range c.argumentFile(a[1:]) {
				push(word)
			}
		default:
			push(a)
		}
	}
	return out
}

func (c *classPath) argumentFile(name string) []string {
	if !path.IsAbs(name) {
		name = path.Join(c.Cwd, name)
	}
	if c.Open == nil {
		c.unread = append(c.unread, name)
		return nil
	}
	b, err := c.Open(name)
	if err != nil {
		c.unread = append(c.unread, name)
		return nil
	}
	return words(string(b))
}

// words splits an argument file (or JDK_JAVA_OPTIONS) as the launcher does: white space parts, quotes of both kinds hold together, inside of
// them a backslash takes the next character as it is (n, r, t, f as in C) and one at the end of a line joins the next one; # begins a comment.
func words(text string) []string {
	w := wordReader{}
	for i := 0; i < len(text) && len(w.out) < maxArguments; i++ {
		i = w.take(text, i)
	}
	w.end()
	return w.out
}

type wordReader struct {
	out   []string
	word  []byte
	in    bool // a word has begun
	quote byte
}

func (w *wordReader) end() {
	if w.in {
		w.out = append(w.out, string(w.word))
	}
	w.word, w.in = nil, false
}

// take reads the character at i and returns the last one that it used up.
func (w *wordReader) take(text string, i int) int {
	ch := text[i]
	switch {
	case w.quote == 0 && strings.IndexByte(" \t\r\n\f", ch) >= 0:
		w.end()
	case w.quote == 0 && ch == '#' && !w.in:
		if end := strings.IndexAny(text[i:], "\r\n"); end >= 0 {
			return i + end
		}
		return len(text)
	case w.quote == 0 && (ch == '"' || ch == '\''):
		w.quote, w.in = ch, true
	case w.quote != 0 && ch == w.quote:
		w.quote = 0
	case w.quote != 0 && ch == '\\' && i+1 < len(text):
		return w.escaped(text, i+1)
	case w.quote != 0 && (ch == '\n' || ch == '\r'): // an open quote ends with its line
		w.quote = 0
		w.end()
	default:
		w.word, w.in = append(w.word, ch), true
	}
	return i
}

func (w *wordReader) escaped(text string, i int) int {
	if strings.IndexByte("\r\n", text[i]) >= 0 {
		for i+1 < len(text) && strings.IndexByte(" \t\r\n\f", text[i+1]) >= 0 {
			i++
		}
		return i
	}
	ch := text[i]
	if at := strings.IndexByte("nrtf", ch); at >= 0 {
		ch = "\n\r\t\f"[at]
	}
	w.word = append(w.word, ch)
	return i
}

// besides resolves a manifest's Class-Path: relative addresses separated by spaces, seen from the archive's own place.
func besides(name, list string) []string {
	var out []string
	for _, entry := range strings.Fields(list) {
		u, err := url.Parse(entry)
		if err != nil || u.Host != "" || u.Scheme != "" && u.Scheme != "file" || u.Path == "" || strings.HasSuffix(u.Path, "/") || len(out) >= maxClassPath {
			continue // directories hold classes, not archives
		}
		p := u.Path
		if !path.IsAbs(p) {
			p = path.Join(path.Dir(name), p)
		}
		out = append(out, path.Clean(p))
	}
	return out
}
