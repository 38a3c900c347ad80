package bundle

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"staunch/fault"
	"staunch/reach/act/bench"
	"staunch/reach/act/files"
)

// validator is how one named program is asked whether it would take the files that lie there now.
type validator struct {
	unit  string   // whose main process tells which configuration is in use
	check []string // the program's own check
	files []string // options of the main process that name configuration: the check gets them too
	// pairs lists the certificates that the configuration names with their keys, for programs whose own check does not hold them
	// against each other; nil: it does.
	pairs func(ctx context.Context, b *bench.Bench) ([]files.Pair, error)
}

// validators are the named ones. nginx and haproxy load certificates and keys when they check; the others look at the words only.
func validators() map[string]validator {
	return map[string]validator{
		"nginx":   {unit: "nginx.service", check: []string{"nginx", "-t", "-q"}, files: []string{"-c", "-p"}},
		"haproxy": {unit: "haproxy.service", check: []string{"haproxy", "-c"}, files: []string{"-f", "-C"}},
		"apache":  {unit: "apache2.service", check: []string{"apache2ctl", "configtest"}, pairs: apachePairs},
		"postfix": {unit: "postfix.service", check: []string{"postfix", "check"}, pairs: postfixPairs},
		"dovecot": {unit: "dovecot.service", check: []string{"doveconf", "-n"}, files: []string{"-c"}, pairs: dovecotPairs},
	}
}

// validate asks the validator. What it refuses is fault.Conflict with its own words.
func (p Place) validate(ctx context.Context, b *bench.Bench) error {
	if name, isHook := strings.CutPrefix(p.With.Validator, "hook:"); isHook {
		return b.Hook(ctx, name)
	}
	v, known := validators()[p.With.Validator]
	if !known {
		return nil
	}
	argv := v.argv(ctx, b)
	lines, err := b.Run(ctx, bench.Command{Argv: argv, Output: 64 << 10})
	if err == nil {
		err = warned(p.With.Validator, lines)
	}
	if err != nil {
		b.Say(lines...)
		return fault.New(fault.Conflict, "%s refuses the new files: %v", p.With.Validator, err)
	}
	if v.pairs == nil {
		return nil
	}
	pairs, err := v.pairs(ctx, b)
	if err != nil {
		return fault.New(fault.Conflict, "which certificates %s uses could not be read: %v", p.With.Validator, err)
	}
	for _, pair := range pairs {
		if err := pair.Fits(); err != nil {
			return fault.New(fault.Conflict, "%s would not take the new files: %v", p.With.Validator, err)
		}
	}
	return nil
}

// argv is the check, told of the configuration that the running program was told of.
func (v validator) argv(ctx context.Context, b *bench.Bench) []string {
	argv := slices.Clone(v.check)
	if argv[0] == "apache2ctl" {
		if _, err := bench.LookPath("", argv[0]); err != nil {
			argv = []string{"httpd", "-t"}
		}
	}
	argv = append(argv, v.inUse(ctx, b)...)
	if argv[0] == "haproxy" && !slices.Contains(argv, "-f") {
		argv = append(argv, "-f", "/etc/haproxy/haproxy.cfg")
	}
	return argv
}

// inUse picks the options that name configuration from the command line of the unit's main process.
func (v validator) inUse(ctx context.Context, b *bench.Bench) []string {
	if len(v.files) == 0 {
		return nil
	}
	m, err := b.Units(ctx)
	if err != nil {
		return nil
	}
	s, err := m.State(ctx, v.unit)
	if err != nil || s.MainPID == 0 {
		return nil
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", s.MainPID))
	if err != nil {
		return nil
	}
	return options(string(line), v.files)
}

// options finds "-f value" in a command line; nginx writes its own with spaces between the words.
func options(line string, names []string) []string {
	words := strings.FieldsFunc(line, func(r rune) bool { return r == 0 || r == ' ' })
	var found []string
	for i := 0; i+1 < len(words); i++ {
		if slices.Contains(names, words[i]) && strings.HasPrefix(words[i+1], "/") {
			found = append(found, words[i], words[i+1])
		}
	}
	return found
}

// warned makes errors of what postfix only warns of: a parameter that it does not know is a typing error.
func warned(name string, lines []string) error {
	if name != "postfix" {
		return nil
	}
	for _, line := range lines {
		if _, what, found := strings.Cut(line, "warning: "); found && strings.Contains(what, "unused parameter") {
			return fault.New(fault.Conflict, "%s", what)
		}
	}
	return nil
}

// postfixPairs asks postconf, which knows defaults and what master.cf overrides.
func postfixPairs(ctx context.Context, b *bench.Bench) ([]files.Pair, error) {
	lines, err := b.Run(ctx, bench.Command{Argv: []string{"postconf", "-x", "smtpd_tls_chain_files", "smtpd_tls_cert_file", "smtpd_tls_key_file", "smtpd_tls_eccert_file", "smtpd_tls_eckey_file"}})
	if err != nil {
		return nil, err
	}
	more, err := b.Run(ctx, bench.Command{Argv: []string{"postconf", "-P", "-x"}})
	if err != nil {
		return nil, err
	}
	return postfixNames(append(lines, more...)), nil
}

// postfixNames reads "name = value" and "service/type/name = value".
func postfixNames(lines []string) []files.Pair {
	values := map[string]map[string]string{}
	var order []string
	for _, line := range lines {
		name, value, found := strings.Cut(line, " = ")
		service, short := "", name
		if i := strings.LastIndexByte(name, '/'); i >= 0 {
			service, short = name[:i], name[i+1:]
		}
		if !found || !strings.HasPrefix(short, "smtpd_tls_") || value == "none" {
			continue
		}
		if values[service] == nil {
			values[service] = map[string]string{}
			order = append(order, service)
		}
		values[service][short] = strings.TrimSpace(value)
	}
	var pairs []files.Pair
	for _, service := range order {
		of := values[service]
		for _, names := range [][2]string{{"smtpd_tls_cert_file", "smtpd_tls_key_file"}, {"smtpd_tls_eccert_file", "smtpd_tls_eckey_file"}} {
			cert, key := names[0], names[1]
			if of[cert] == "" || of["smtpd_tls_chain_files"] != "" || service != "" && of[key] == "" {
				continue
			}
			pairs = append(pairs, files.Pair{Cert: of[cert], Key: cmp.Or(of[key], of[cert])})
		}
		for chain := range strings.FieldsFuncSeq(of["smtpd_tls_chain_files"], func(r rune) bool { return r == ',' || r == ' ' }) {
			if strings.HasPrefix(chain, "/") {
				pairs = append(pairs, files.Pair{Cert: chain, Key: chain})
			}
		}
	}
	return pairs
}

// dovecotPairs asks doveconf for what is set, keys included.
func dovecotPairs(ctx context.Context, b *bench.Bench) ([]files.Pair, error) {
	lines, err := b.Run(ctx, bench.Command{Argv: append([]string{"doveconf", "-n", "-P"}, validators()["dovecot"].inUse(ctx, b)...)})
	if err != nil {
		return nil, err
	}
	return dovecotNames(lines), nil
}

// dovecotNames pairs the certificate and the key of every block: "ssl_cert = </path" (2.3), "ssl_server_cert_file = /path" (2.4).
func dovecotNames(lines []string) []files.Pair {
	open := []map[string]string{{}}
	var pairs []files.Pair
	shut := func(b map[string]string) {
		for _, names := range [][2]string{{"ssl_cert", "ssl_key"}, {"ssl_alt_cert", "ssl_alt_key"}, {"ssl_server_cert_file", "ssl_server_key_file"}} {
			if pair := (files.Pair{Cert: b[names[0]], Key: b[names[1]]}); pair.Cert != "" && pair.Key != "" {
				pairs = append(pairs, pair)
			}
		}
	}
	for _, line := range lines {
		line = strings.TrimSpace(line)
		name, value, set := strings.Cut(line, " = ")
		switch {
		case strings.HasSuffix(line, "{"):
			open = append(open, map[string]string{})
		case line == "}" && len(open) > 1:
			shut(open[len(open)-1])
			open = open[:len(open)-1]
		case set && strings.HasPrefix(strings.TrimPrefix(value, "<"), "/"):
			open[len(open)-1][name] = strings.TrimPrefix(value, "<")
		}
	}
	for _, b := range open {
		shut(b)
	}
	return pairs
}

// apachePairs reads every file that Apache says it includes.
func apachePairs(ctx context.Context, b *bench.Bench) ([]files.Pair, error) {
	argv := []string{"apache2ctl", "-t", "-D", "DUMP_INCLUDES"}
	if _, err := bench.LookPath("", argv[0]); err != nil {
		argv[0] = "httpd"
	}
	lines, err := b.Run(ctx, bench.Command{Argv: argv})
	if err != nil {
		return nil, err
	}
	var pairs []files.Pair
	for _, line := range lines {
		_, path, found := strings.Cut(line, ") ")
		if path = strings.TrimSpace(path); !found || !strings.HasPrefix(path, "/") {
			continue
		}
		text, err := files.Small(path, 4<<20)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, apacheNames(string(text))...)
	}
	return pairs, nil
}

// apacheNames pairs SSLCertificateFile and SSLCertificateKeyFile in their order within one section. A certificate without a key has
// it inside; names with variables are not known here and left to the reload.
func apacheNames(text string) []files.Pair {
	var pairs []files.Pair
	var certs, keys []string
	shut := func() {
		for i, cert := range certs {
			pair := files.Pair{Cert: cert, Key: cert}
			if i < len(keys) {
				pair.Key = keys[i]
			}
			if strings.HasPrefix(pair.Cert, "/") && strings.HasPrefix(pair.Key, "/") && !strings.Contains(pair.Cert+pair.Key, "${") {
				pairs = append(pairs, pair)
			}
		}
		certs, keys = nil, nil
	}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		switch word := strings.ToLower(words[0]); {
		case strings.HasPrefix(word, "<virtualhost") || strings.HasPrefix(word, "</virtualhost"):
			shut()
		case word == "sslcertificatefile" && len(words) > 1:
			certs = append(certs, strings.Trim(words[1], `"`))
		case word == "sslcertificatekeyfile" && len(words) > 1:
			keys = append(keys, strings.Trim(words[1], `"`))
		}
	}
	shut()
	return pairs
}
