package keys

import (
	"slices"
	"strings"
	"testing"
)

// TestStatements: each notation's own ways to write a path.
func TestStatements(t *testing.T) {
	by := map[string]notation{}
	for _, s := range servers() {
		by[s.programs[0]] = s.notation
	}
	for what, c := range map[string]struct{ program, text, want string }{
		"over several lines":             {"nginx", "server{listen 443 ssl;ssl_certificate\n  \"/k/a b.pem\" ; # c\n}", "server|listen 443 ssl|ssl_certificate /k/a b.pem"},
		"a variable in braces":           {"nginx", "ssl_certificate /k/${name}.pem;", "ssl_certificate /k/${name}.pem"},
		"a line that goes on":            {"apache2", "SSLCertificateFile \\\n  ${dir}/a.pem", "SSLCertificateFile ${dir}/a.pem"},
		"an apostrophe":                  {"redis-server", "# don't\nrequirepass it's\ntls-key-file /k/a", "requirepass its|tls-key-file /k/a"},
		"a semicolon before":             {"stunnel", "; cert = /k/old\ncert = /k/new", "cert /k/new"},
		"a table on one line":            {"prosody", "ssl = { key = \"/k/a\", certificate = \"/k/b\" } -- key = 1", "ssl|key /k/a|certificate /k/b"},
		"a long comment":                 {"prosody", "--[[ key = \"/k/old\"\n]]key = \"/k/a\"", "key /k/a"},
		"placeholders and braces":        {"caddy", "{$NAME} {\n\ttls {$DIR}/a {env.DIR}/b\n}", "{$NAME}|tls {$DIR}/a {env.DIR}/b"},
		"a value on folded lines":        {"master", "smtpd_tls_chain_files =\n  /k/a,\n  ${x}/b\nother = 1", "smtpd_tls_chain_files /k/a ${x}/b|other 1"},
		"a hash inside a word":           {"dovecot", "ssl_key = </k/a#1", "ssl_key </k/a#1"},
		"a quote that is not closed":     {"haproxy", "bind :1 crt \"/k/a\nbind :2 crt /k/b", "bind :1 crt /k/a|bind :2 crt /k/b"},
		"nothing":                        {"nginx", "", ""},
		"a comment without an end":       {"prosody", "key = \"/k/a\" --[[ x", "key /k/a"},
		"a variable that does not close": {"apache2", "a ${b\nc d", "a ${b|c d"},
	} {
		var got []string
		for _, words := range by[c.program].statements(c.text) {
			got = append(got, strings.Join(words, " "))
		}
		if strings.Join(got, "|") != c.want {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
}

func TestVariables(t *testing.T) {
	known := map[string]string{"a": "/x", "b": "${a}/y", "loop": "$loop", "long": strings.Repeat("x", 5000)}
	for _, c := range []struct{ variables, text, want string }{
		{"$", "$a/k", "/x/k"},
		{"$", "${b}/k", "/x/y/k"},
		{"$", "$none/k", "$none/k"},
		{"$", "$loop", "$loop"},
		{"$", "$long", "$long"},
		{"$", "a$", "a$"},
		{"${", "$a/k", "$a/k"},
		{"${", "${a}/k", "/x/k"},
		{"{", "{$a}/k", "/x/k"},
		{"{", "{env.a}/k", "/x/k"},
		{"", "$a", "$a"},
	} {
		if got := (notation{variables: c.variables}).expand(c.text, known); got != c.want {
			t.Errorf("%s by %q: %q, want %q", c.text, c.variables, got, c.want)
		}
	}
}

func FuzzStatements(f *testing.F) {
	f.Add("server { ssl_certificate ${x}/a; } # c\n--[[ ]]\n\\\n '\"", "x")
	f.Add("{$A}/b {env.C} ${", "A")
	f.Fuzz(func(t *testing.T, text, name string) {
		for _, s := range servers() {
			for _, words := range s.notation.statements(text) {
				if len(words) == 0 || slices.ContainsFunc(words, func(w string) bool { return len(w) > len(text) }) {
					t.Fatalf("%q of %q", words, text)
				}
				for _, w := range words {
					s.notation.unknown(s.notation.expand(w, map[string]string{name: w}))
				}
			}
		}
	})
}
