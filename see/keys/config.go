package keys

import (
	"path"
	"slices"
	"strings"

	"staunch/see/scan/proc"

	"golang.org/x/sys/unix"
)

// server is how one kind of server tells where its keys lie.
type server struct {
	programs []string // base names of the executable, or the process's name
	flags    []string // options that name another configuration
	configs  []string // where it lies otherwise: files, or directories of them
	include  func(words []string) []string
	keys     func(words []string) []string // paths of keys and certificates in a line
	secrets  func(words []string) []string // paths of files that are secrets themselves
	folded   bool                          // a line that begins with space continues the one before
}

// servers are the programs whose configuration names keys. Sources: each program's own manual.
func servers() []server {
	return []server{
		{
			programs: []string{"nginx"}, flags: []string{"-c"}, configs: []string{"/etc/nginx/nginx.conf"},
			include: after("include"), keys: after("ssl_certificate", "ssl_certificate_key", "proxy_ssl_certificate", "proxy_ssl_certificate_key"),
			secrets: after("ssl_session_ticket_key", "ssl_password_file", "auth_basic_user_file"),
		},
		{
			programs: []string{"apache2", "httpd"}, flags: []string{"-f"}, configs: []string{"/etc/apache2/apache2.conf", "/etc/httpd/conf/httpd.conf"},
			include: after("include", "includeoptional"), keys: after("sslcertificatefile", "sslcertificatekeyfile", "sslproxymachinecertificatefile"),
			secrets: after("sslsessionticketkeyfile", "authuserfile"),
		},
		{
			programs: []string{"haproxy"}, flags: []string{"-f"}, configs: []string{"/etc/haproxy/haproxy.cfg"},
			include: nil, keys: anywhere("crt", "key", "crt-list"), secrets: anywhere("tls-ticket-keys"),
		},
		{
			programs: []string{"master", "smtpd", "smtp", "tlsproxy", "postfix"}, configs: []string{"/etc/postfix/main.cf", "/etc/postfix/master.cf"}, folded: true,
			keys: either("smtpd_tls_cert_file", "smtpd_tls_key_file", "smtpd_tls_chain_files", "smtpd_tls_eccert_file", "smtpd_tls_eckey_file",
				"smtp_tls_cert_file", "smtp_tls_key_file", "smtp_tls_chain_files"),
			secrets: after("smtp_sasl_password_maps"),
		},
		{
			programs: []string{"dovecot", "imap-login", "pop3-login", "managesieve-login", "submission-login", "config"}, flags: []string{"-c"}, configs: []string{"/etc/dovecot/dovecot.conf"},
			include: after("!include", "!include_try"), keys: after("ssl_cert", "ssl_key", "ssl_alt_cert", "ssl_alt_key", "ssl_server_cert_file", "ssl_server_key_file"),
		},
		{
			programs: []string{"prosody", "lua", "lua5.4", "lua5.3", "lua5.2"}, configs: []string{"/etc/prosody/prosody.cfg.lua", "/etc/prosody/conf.d"},
			include: after("include"), keys: after("certificate", "key", "certificates"), secrets: nil,
		},
		{
			programs: []string{"caddy"}, flags: []string{"--config", "-config"}, configs: []string{"/etc/caddy/Caddyfile"},
			include: after("import"), keys: after("tls"),
		},
		{
			programs: []string{"hitch", "varnishd"}, flags: []string{"--config", "-A"}, configs: []string{"/etc/hitch/hitch.conf"},
			keys: after("pem-file", "pem-dir", "cert", "private-key"),
		},
		{
			programs: []string{"turnserver"}, flags: []string{"-c"}, configs: []string{"/etc/turnserver.conf", "/etc/coturn/turnserver.conf"},
			keys: after("cert", "pkey"),
		},
		{
			programs: []string{"postgres", "postmaster"}, flags: []string{"config_file", "-D"}, configs: []string{"/var/lib/pgsql/data/postgresql.conf"},
			include: after("include", "include_if_exists", "include_dir"), keys: after("ssl_cert_file", "ssl_key_file"),
		},
		{
			programs: []string{"redis-server", "valkey-server"}, configs: []string{"/etc/redis/redis.conf", "/etc/redis.conf", "/etc/valkey/valkey.conf"},
			include: after("include"), keys: after("tls-cert-file", "tls-key-file", "tls-client-cert-file", "tls-client-key-file"),
		},
		{
			programs: []string{"stunnel", "stunnel4", "stunnel5"}, configs: []string{"/etc/stunnel/stunnel.conf", "/etc/stunnel"},
			include: after("include"), keys: after("cert", "key"),
		},
	}
}

// stores are directories where programs keep keys without a configuration that names them.
func stores() map[string][]string {
	return map[string][]string{
		"caddy":   {"/var/lib/caddy/.local/share/caddy/certificates"},
		"prosody": {"/etc/prosody/certs"},
		"sshd":    {"/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_ecdsa_key", "/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_dsa_key"},
	}
}

// configuration follows the configuration of a known server.
func (s *subject) configuration() {
	exe := strings.TrimSuffix(path.Base(s.link("exe")), " (deleted)")
	is := func(name string) bool { return exe == name || s.reader.Name == name }
	for _, srv := range servers() {
		if !slices.ContainsFunc(srv.programs, is) {
			continue
		}
		for _, file := range s.configs(srv) {
			s.config(&srv, file, 0)
		}
	}
	for program, places := range stores() {
		if !is(program) && !(program == "prosody" && s.reader.Unit == "prosody.service") {
			continue
		}
		s.how, s.says = "configuration", program+" keeps its keys there"
		if program == "sshd" {
			s.how = "host_key"
		}
		for _, place := range places {
			if _, err := s.root.Stat(place); err == nil {
				s.tree(place, 6)
			}
		}
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

// configs are the files named on the command line, else the usual ones that exist.
func (s *subject) configs(srv server) []string {
	var files []string
	for i, arg := range s.args {
		for _, flag := range srv.flags {
			if value, joined := strings.CutPrefix(arg, flag+"="); joined {
				files = append(files, value)
			} else if arg == flag && i+1 < len(s.args) {
				files = append(files, s.args[i+1])
			}
		}
	}
	if len(files) > 0 {
		return files
	}
	for _, file := range srv.configs {
		if _, err := s.root.Stat(file); err == nil {
			files = append(files, file)
		}
	}
	return files
}

// config reads one configuration file, or every file of a directory, and what it includes.
func (s *subject) config(srv *server, file string, depth int) {
	if !path.IsAbs(file) {
		file = path.Join(path.Dir(srv.configs[0]), file)
	}
	file = path.Clean(file)
	if depth > maxDepth || s.texts > maxFiles || s.seen["config "+file] {
		return
	}
	s.seen["config "+file] = true
	stat, err := s.root.Stat(file)
	if err != nil {
		s.unseen(s.reader.PID, file, err.Error())
		return
	}
	if stat.Mode&unix.S_IFMT == unix.S_IFDIR {
		s.glob(path.Join(file, "*"), func(found string) { s.config(srv, found, depth+1) })
		return
	}
	text, err := s.root.Read(file, maxText)
	if err != nil {
		s.unseen(s.reader.PID, file, err.Error())
		return
	}
	s.texts++
	s.budget -= int64(len(text))
	base, whole := "", string(text)
	if srv.folded {
		whole = strings.NewReplacer("\n ", " ", "\n\t", " ").Replace(whole)
	}
	for line := range strings.Lines(whole) {
		for _, words := range split(line) {
			if len(words) > 1 && words[0] == "crt-base" {
				base = words[1]
			}
			s.line(srv, file, base, words, depth)
		}
	}
}

// line takes from one line of a configuration what it names.
func (s *subject) line(srv *server, file, base string, words []string, depth int) {
	for _, what := range []struct {
		find func([]string) []string
		do   func(string)
	}{
		{srv.include, func(p string) { s.config(srv, p, depth+1) }},
		{srv.keys, func(p string) {
			s.how, s.says = "configuration", words[0]+" in "+file
			s.tree(p, 2)
		}},
		{srv.secrets, func(p string) {
			s.says = words[0] + " in " + file
			s.secret(Session, path.Base(p), "file", p)
		}},
	} {
		if what.find == nil {
			continue
		}
		for _, p := range what.find(words) {
			s.each(p, path.Dir(file), base, what.do)
		}
	}
}

// each calls do for a path of a configuration: relative ones are the configuration's neighbours, patterns are expanded.
func (s *subject) each(p, dir, base string, do func(string)) {
	p = strings.TrimPrefix(strings.TrimPrefix(p, "<"), "file:")
	if p == "" || strings.HasPrefix(p, "data:") || strings.HasPrefix(p, "engine:") || strings.HasPrefix(p, "@") {
		return
	}
	if strings.Contains(p, "$") {
		s.unseen(s.reader.PID, p, "a path with a variable of the server's own: look there by hand")
		return
	}
	if !path.IsAbs(p) {
		if base != "" {
			dir = base
		}
		p = path.Join(dir, p)
	}
	if strings.ContainsAny(p, "*?[") {
		s.glob(p, do)
		return
	}
	do(p)
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

// split cuts a line into statements, and these into words: quotes keep spaces, # begins a comment, braces and semicolons end a statement.
func split(line string) [][]string {
	if strings.HasPrefix(strings.TrimSpace(line), "--") { // a comment of Lua's
		return nil
	}
	var all [][]string
	var words []string
	var word strings.Builder
	quote, begun := rune(0), false
	end := func(statement bool) {
		if begun {
			words = append(words, word.String())
		}
		word.Reset()
		begun = false
		if statement && len(words) > 0 {
			all, words = append(all, words), nil
		}
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quote, begun = r, true
		case r == '#':
			end(true)
			return all
		case strings.ContainsRune(";{}\n", r):
			end(true)
		case strings.ContainsRune(" \t\r,=", r):
			end(false)
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	end(true)
	return all
}

// after finds the values of directives: the rest of a line that begins with one of the names.
func after(names ...string) func([]string) []string {
	return func(words []string) []string {
		if slices.Contains(names, strings.ToLower(words[0])) {
			return words[1:]
		}
		return nil
	}
}

// either finds both: the values of a directive, and the word after a name within a line (postfix: -o name=value in master.cf).
func either(names ...string) func([]string) []string {
	first, inside := after(names...), anywhere(names...)
	return func(words []string) []string {
		if found := first(words); found != nil {
			return found
		}
		return inside(words)
	}
}

// anywhere finds the word after each of the names, wherever in the line.
func anywhere(names ...string) func([]string) []string {
	return func(words []string) []string {
		var found []string
		for i, w := range words[:len(words)-1] {
			if slices.Contains(names, w) {
				found = append(found, words[i+1])
			}
		}
		return found
	}
}
