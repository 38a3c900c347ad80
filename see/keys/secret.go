package keys

import (
	"path"
	"strings"
)

// environment takes in the names of variables that hold secrets. Values are looked at only to tell an empty one, and are not kept.
func (s *subject) environment() {
	for _, pair := range strings.Split(s.read("environ", maxEnviron), "\x00") {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || len(name) > 200 {
			continue
		}
		kind, is := secretName(name)
		if is && value != "" {
			s.secret(kind, name, "environment", "")
		}
		if (!is || name == "CREDENTIALS_DIRECTORY") && len(value) <= 4096 {
			s.env[name] = value // paths are made of it; a value that may be a secret is not kept
		}
	}
}

// secretName tells from a name whether it holds a secret, and of which kind.
func secretName(name string) (SecretKind, bool) {
	n := strings.ToUpper(name)
	for _, harmless := range []string{"_FILE", "_PATH", "_DIR", "_DIRECTORY", "_URL_PREFIX", "KEYBOARD", "KEYMAP", "PUBLIC_KEY", "KEY_ID", "TOKEN_URL", "PASSWORD_STORE"} {
		if strings.HasSuffix(n, harmless) || strings.HasPrefix(n, harmless) {
			return "", false
		}
	}
	for _, rule := range []struct {
		kind  SecretKind
		words string
	}{
		{JWT, "JWT"},
		{Session, "SESSION_SECRET SESSION_KEY COOKIE_SECRET COOKIE_KEY SECRET_KEY_BASE APP_KEY FLASK_SECRET DJANGO_SECRET"},
		{Password, "PASSWORD PASSWD PASSPHRASE PGPASS DATABASE_URL MYSQL_PWD REDIS_URL AMQP_URL MONGO_URL _DSN"},
		{Token, "TOKEN API_KEY APIKEY ACCESS_KEY SECRET_ACCESS_KEY AUTH_KEY WEBHOOK"},
		{Other, "SECRET PRIVATE_KEY ENCRYPTION_KEY MASTER_KEY SIGNING_KEY CREDENTIAL"},
	} {
		for _, word := range strings.Fields(rule.words) {
			if strings.Contains(n, word) {
				return rule.kind, true
			}
		}
	}
	return "", false
}

// secret notes a secret by its name.
func (s *subject) secret(kind SecretKind, name, where, file string) {
	const most = 2000
	id := string(kind) + "\x00" + name + "\x00" + where + "\x00" + file
	have := s.secrets[id]
	if have == nil {
		if len(s.secrets) >= most {
			return
		}
		have = &Secret{Kind: kind, Name: name, Where: where, Path: file, Readers: []Reader{}}
		s.secrets[id] = have
	}
	r := s.reader
	r.How, r.Says = where, s.says
	have.Readers = addReader(have.Readers, r)
}

// credentials takes in what systemd gave the unit: every name is a secret, and keys among them are told as keys.
func (s *subject) credentials() {
	dir := s.env["CREDENTIALS_DIRECTORY"]
	if !path.IsAbs(dir) {
		return
	}
	names, _, err := s.root.Names(dir, maxFiles)
	if err != nil {
		s.unseen(s.reader.PID, dir, err.Error())
		return
	}
	s.how, s.says = "credential", ""
	for _, name := range names {
		kind, is := secretName(name)
		if !is {
			kind = Other
		}
		s.secret(kind, name, "credential", "")
		s.file(path.Join(dir, name))
	}
}
