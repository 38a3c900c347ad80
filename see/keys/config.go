package keys

import (
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"staunch/see/scan/proc"

	"golang.org/x/sys/unix"
)

// configuration follows the configuration of a known server.
func (s *subject) configuration() {
	exe := strings.TrimSuffix(path.Base(s.link("exe")), " (deleted)")
	is := func(name string) bool { return exe == name || s.reader.Name == name }
	for _, srv := range servers() {
		if !slices.ContainsFunc(srv.programs, is) {
			continue
		}
		r := &reading{subject: s, server: srv, known: maps.Clone(s.env)}
		r.all()
	}
}

func (s *subject) link(name string) string {
	var buf proc.Scratch
	to, err := s.dir.Link(&buf, name)
	if err != nil {
		return ""
	}
	return to
}

// reading is one server's configuration being followed.
type reading struct {
	*subject
	server
	main  string            // the directory of the main configuration, or the one that a directive names instead
	data  string            // the server's directory of data
	crt   string            // what paths of certificates are relative to, where a directive says so
	known map[string]string // variables
	any   bool              // a key was named
}

// all reads what the command line says, then each configuration, then what is taken by default.
func (r *reading) all() {
	r.how = "configuration"
	args := r.arguments()
	files := r.named(args)
	for _, file := range files {
		r.main, r.crt = path.Dir(r.from(file)), ""
		r.known["config_directory"] = r.main
		if r.base == toMain {
			r.known["ServerRoot"] = r.main
		}
		r.config(file, 0)
	}
	r.options(args)
	silent := !r.any
	for _, p := range r.defaults {
		if silent || path.IsAbs(p) {
			r.take(p, "", "its default", r.there)
		}
	}
	if slices.Contains(r.programs, "sshd") {
		r.how = "host_key"
	}
	for _, p := range r.server.stores {
		if p = r.own(p); p != "" {
			r.says = r.programs[0] + " keeps its keys there"
			r.there(p)
		}
	}
}

// there takes in what need not be there.
func (r *reading) there(p string) {
	if _, err := r.root.Stat(p); err == nil {
		r.any = true
		r.tree(p, 6)
	}
}

// arguments are the command line; where a program wrote its own title over it, those with which its unit starts it.
func (r *reading) arguments() []string {
	exe := path.Base(strings.TrimSuffix(r.link("exe"), " (deleted)"))
	if len(r.args) == 0 || path.Base(r.args[0]) == exe && !titled(r.args) {
		return r.args
	}
	for _, start := range r.starts {
		if path.Base(start[0]) == exe {
			return append(slices.Clone(r.args), start[1:]...)
		}
	}
	if titled(r.args) && !slices.ContainsFunc(r.configs, func(file string) bool { _, err := r.root.Stat(file); return err == nil }) {
		r.unseen(r.reader.PID, "", "it shows a title instead of its arguments, so which configuration it reads is not known")
	}
	return r.args
}

// titled tells whether a command line looks like a title: redis shows its address instead of its arguments.
func titled(args []string) bool {
	return len(args) > 1 && strings.HasSuffix(args[0], "redis-server") && strings.Contains(args[1], ":")
}

// own puts the server's own directories into a path; "" where it has none.
func (r *reading) own(p string) string {
	for name, from := range map[string][2]string{"{data}": {"XDG_DATA_HOME", ".local/share"}, "{conf}": {"XDG_CONFIG_HOME", ".config"}} {
		rest, is := strings.CutPrefix(p, name)
		switch {
		case !is:
		case path.IsAbs(r.env[from[0]]):
			return r.env[from[0]] + rest
		case path.IsAbs(r.env["HOME"]):
			return path.Join(r.env["HOME"], from[1]) + rest
		default:
			return ""
		}
	}
	return p
}

// named are the configurations that the command line names, else the usual ones that exist.
func (r *reading) named(args []string) []string {
	var files []string
	for i, arg := range args {
		value := ""
		for _, flag := range r.flags {
			if joined, is := strings.CutPrefix(arg, flag+"="); is {
				value = joined
			} else if arg == flag && i+1 < len(args) {
				value = args[i+1]
			}
			if value != "" && r.data == "" && (flag == "-D" && arg == flag || flag == "-Dcatalina.base") {
				r.data = value
				r.known["catalina.base"] = value
			}
		}
		if r.first && i == 1 && !strings.HasPrefix(arg, "-") && !strings.Contains(arg, ":") || r.first && i > 1 && path.IsAbs(arg) && titled(args) {
			value = arg
		}
		if value != "" {
			files = append(files, r.within(value)...)
		}
	}
	if len(files) > 0 {
		return files
	}
	for _, file := range r.configs {
		if file = r.own(file); file == "" {
			continue
		}
		if _, err := r.root.Stat(file); err == nil {
			files = append(files, file)
		}
	}
	return files
}

// within lists what is read in a directory that an option names.
func (r *reading) within(file string) []string {
	if stat, err := r.root.Stat(r.from(file)); r.files == nil || err != nil || stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		return []string{file}
	}
	var all []string
	for _, name := range r.files {
		if _, err := r.root.Stat(path.Join(r.from(file), name)); err == nil {
			all = append(all, path.Join(file, name))
		}
	}
	return all
}

// from makes a path of the command line absolute: it is relative to where the server runs, or to where its configurations usually are.
func (r *reading) from(file string) string {
	if path.IsAbs(file) {
		return path.Clean(file)
	}
	if at := path.Join("/", r.link("cwd"), file); r.base == toWork || r.base == toData {
		return at
	}
	if len(r.configs) > 0 {
		return path.Join(path.Dir(r.configs[0]), file)
	}
	return path.Clean("/" + file)
}

// options reads the command line itself as if its options were directives.
func (r *reading) options(args []string) {
	for i, arg := range args {
		name, value, joined := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		switch {
		case i == 0:
		case joined:
			r.statement("the command line", []string{name, value}, 0)
		case strings.HasPrefix(arg, "-") && i+1 < len(args) && name != "c" && name != "":
			r.statement("the command line", []string{name, args[i+1]}, 0)
		case r.bare && path.IsAbs(arg):
			r.says = "an argument of " + r.programs[0]
			r.there(arg)
		}
	}
}

// config reads one configuration file, or every file of a directory, and what it includes.
func (r *reading) config(file string, depth int) {
	file = r.from(file)
	if depth > maxDepth || r.texts > maxFiles || r.seen["config "+file] {
		return
	}
	r.seen["config "+file] = true
	stat, err := r.root.Stat(file)
	if err != nil && depth == 0 && r.worker() {
		return
	}
	if err != nil {
		r.unseen(r.reader.PID, file, err.Error())
		return
	}
	if stat.Mode&unix.S_IFMT == unix.S_IFDIR {
		r.glob(path.Join(file, "*"), func(found string) { r.config(found, depth+1) })
		return
	}
	text, err := r.root.Read(file, maxText)
	if err != nil {
		r.unseen(r.reader.PID, file, err.Error())
		return
	}
	r.texts++
	r.subject.budget -= int64(len(text))
	if json.Valid(text) && strings.HasPrefix(strings.TrimSpace(string(text)), "{") {
		r.json(file, text)
		return
	}
	for _, words := range r.notation.statements(string(text)) {
		r.statement(file, words, depth)
	}
}

// worker tells whether the process was confined to a directory by a parent that runs the same program: what it was given, the parent read.
func (r *reading) worker() bool {
	for line := range strings.Lines(r.read("status", maxText)) {
		parent, is := strings.CutPrefix(line, "PPid:")
		if !is {
			continue
		}
		pid, err := strconv.Atoi(strings.TrimSpace(parent))
		if err != nil {
			return false
		}
		dir, err := proc.Open(r.look.env.Proc, pid)
		if err != nil {
			return false
		}
		defer dir.Close()
		var buf proc.Scratch
		exe, err := dir.Link(&buf, "exe")
		return err == nil && exe == r.link("exe") && r.link("root") != "/"
	}
	return false
}

// statement takes what one statement names.
func (r *reading) statement(file string, words []string, depth int) {
	r.learn(file, words)
	for _, what := range []struct {
		find finder
		do   func(string)
	}{
		{r.include, func(p string) {
			if _, here := r.known["("+path.Base(p)+")"]; !here { // caddy: a piece of the same text
				r.config(p, depth+1)
			}
		}},
		{r.server.keys, func(p string) { r.any = true; r.key(p) }},
		{r.lists, r.list},
		{r.server.secrets, func(p string) { r.secret(Session, path.Base(p), "file", p) }},
	} {
		if what.find == nil {
			continue
		}
		for _, p := range what.find(words) {
			r.take(p, file, words[0]+" in "+file, what.do)
		}
	}
}

// learn keeps what later paths are made of.
func (r *reading) learn(file string, words []string) {
	if strings.HasPrefix(words[0], "(") {
		r.known[words[0]] = ""
	}
	if len(words) < 2 {
		return
	}
	value := r.notation.expand(words[1], r.known)
	switch strings.ToLower(words[0]) {
	case "crt-base":
		r.crt = value
	case "serverroot":
		r.main, r.known["ServerRoot"] = value, value
	case "data_directory":
		r.data = value
	case "define", "setenv", "presetenv":
		if len(words) > 2 {
			r.known[words[1]] = r.notation.expand(words[2], r.known)
		}
	default:
		if r.notation.folded && len(r.known) < maxFiles { // postfix: every parameter is a variable
			r.known[words[0]] = strings.Join(words[1:], " ")
		}
	}
}

// key takes in a key's file or directory, and what lies beside it by the server's own rules.
func (r *reading) key(p string) {
	there := false
	for _, end := range r.beside {
		if _, err := r.root.Stat(p + end); err == nil {
			there = true
			r.file(p + end)
		}
	}
	if _, err := r.root.Stat(p); err != nil && there {
		return // a name that only stands for its kinds
	}
	r.tree(p, 4)
}

// list reads a file with paths of keys at the beginning of its lines (haproxy), or behind a name (postfix).
func (r *reading) list(p string) {
	for _, kind := range []string{"hash:", "lmdb:", "cdb:", "btree:", "texthash:"} {
		p = strings.TrimPrefix(p, path.Dir(p)+"/"+kind)
	}
	text, err := r.root.Read(p, maxText)
	if err != nil {
		r.unseen(r.reader.PID, p, err.Error())
		return
	}
	for _, words := range (notation{comment: "#"}).statements(string(text)) {
		names := words[:1]
		if r.notation.folded {
			names = words[1:]
		}
		for _, name := range names {
			r.take(name, p, "listed in "+p, r.key)
		}
	}
}

// take calls do for a path of a configuration: relative ones are made absolute, patterns are expanded.
func (r *reading) take(p, file, says string, do func(string)) {
	r.says = says
	p = strings.TrimPrefix(strings.TrimPrefix(p, "<"), "file:")
	if p == "" {
		return
	}
	if strings.HasPrefix(p, "engine:") || strings.HasPrefix(p, "store:") || strings.HasPrefix(p, "pkcs11:") || strings.HasPrefix(p, "data:") {
		r.unseen(r.reader.PID, "", says+" names a key that lies in no file ("+strings.SplitN(p, ":", 2)[0]+"): look there by hand")
		return
	}
	if p = r.notation.expand(p, r.known); r.notation.unknown(p) {
		r.unseen(r.reader.PID, p, "a path with a variable of the server's own: look there by hand")
		return
	}
	for _, one := range strings.FieldsFunc(p, func(c rune) bool { return r.notation.folded && (c == ' ' || c == ',') }) { // a variable may hold a list
		if !path.IsAbs(one) {
			one = path.Join(r.relative(file), one)
		}
		if strings.ContainsAny(one, "*?[") {
			r.glob(one, do)
			continue
		}
		do(one)
	}
}

// relative is the directory that a file's relative paths begin at.
func (r *reading) relative(file string) string {
	switch {
	case r.crt != "":
		return r.crt
	case r.base == toMain:
		return r.main
	case r.base == toWork && path.IsAbs(r.link("cwd")):
		return r.link("cwd")
	case r.base == toData && path.IsAbs(r.data):
		return r.data
	}
	return path.Dir(path.Join("/", file))
}

// json takes in caddy's native configuration: files, folders and keys that stand in the text itself.
func (r *reading) json(file string, text []byte) {
	var any any
	if json.Unmarshal(text, &any) != nil {
		return
	}
	r.walk(file, "", any, 0)
}

func (r *reading) walk(file, name string, value any, depth int) {
	if depth > 60 {
		return
	}
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if key != "root" || v["module"] == "file_system" { // else it is the directory of a site
				r.walk(file, key, v[key], depth+1)
			}
		}
	case []any:
		for _, one := range v {
			r.walk(file, name, one, depth+1)
		}
	case string:
		if !slices.Contains([]string{"certificate", "key", "private_key", "load_folders", "root"}, name) {
			return
		}
		if strings.Contains(v, "-----BEGIN") {
			r.unseen(r.reader.PID, file, "a key stands in the configuration itself: look there by hand")
		} else if strings.Contains(v, "/") {
			r.take(v, file, name+" in "+file, r.key)
		}
	}
}

// glob expands patterns, part by part, inside the process's root.
func (s *subject) glob(pattern string, do func(string)) {
	matches := []string{"/"}
	for _, part := range strings.Split(strings.Trim(path.Clean(pattern), "/"), "/") {
		var next []string
		for _, dir := range matches {
			if !strings.ContainsAny(part, "*?[") {
				next = append(next, path.Join(dir, part))
				continue
			}
			names, _, err := s.root.Names(dir, maxFiles)
			if err != nil {
				continue
			}
			for _, name := range names {
				if ok, err := path.Match(part, name); err == nil && ok && (name[0] != '.' || part[0] == '.') {
					next = append(next, path.Join(dir, name))
				}
			}
		}
		if matches = next; len(matches) > maxFiles {
			s.unseen(s.reader.PID, pattern, "it names too many files")
			return
		}
	}
	for _, found := range matches {
		if _, err := s.root.Stat(found); err == nil {
			do(found)
		}
	}
}
