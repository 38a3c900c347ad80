package starttls

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"staunch/fault"
)

// script is a server that says its lines one by one, whatever is asked, and keeps what it heard.
type script struct {
	lines []string
	heard bytes.Buffer
}

func (s *script) Write(b []byte) (int, error) { return s.heard.Write(b) }

func (s *script) Read(b []byte) (int, error) {
	if len(s.lines) == 0 {
		return 0, io.EOF
	}
	n := copy(b, s.lines[0])
	if s.lines[0] = s.lines[0][n:]; s.lines[0] == "" {
		s.lines = s.lines[1:]
	}
	return n, nil
}

const features = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"

// packet is a MySQL packet; greeting is what a server with these lower capability flags says first.
func packet(body string) string { return string([]byte{byte(len(body)), 0, 0, 0}) + body }

func greeting(flags string) string {
	return packet("\x0a8.0.36\x00" + "\x01\x00\x00\x00" + "abcdefgh\x00" + flags + "\x21\x02\x00\xff\xdf\x15" + strings.Repeat("\x00", 10))
}

// What each server says, what we must have said, and what it means.
func TestPreambles(t *testing.T) {
	for _, c := range []struct {
		name, protocol string
		lines          []string
		heard          string
		kind           fault.Kind // "" when TLS may begin
	}{
		{"smtp", "smtp", []string{"220-a\r\n220 b\r\n", "250-x\r\n250-STARTTLS\r\n250 HELP\r\n", "220 go\r\n"}, "STARTTLS\r\n", ""},
		{"smtp without", "smtp", []string{"220 b\r\n", "250-x\r\n250 HELP\r\n"}, "EHLO", fault.Unsupported},
		{"smtp is busy", "smtp", []string{"421 too many connections\r\n"}, "", fault.Full},
		{"smtp refuses", "smtp", []string{"220 b\r\n", "250 STARTTLS\r\n", "454 no\r\n"}, "STARTTLS", fault.Unsupported},
		{"smtp goes on in plain text", "smtp", []string{"220 b\r\n", "250 STARTTLS\r\n", "220 go\r\n250 injected\r\n"}, "STARTTLS", fault.Corrupt},
		{"smtp hangs up", "smtp", []string{"220 b\r\n"}, "EHLO", fault.Unreachable},
		{"lmtp", "lmtp", []string{"220 b\r\n", "250 STARTTLS\r\n", "220 go\r\n"}, "LHLO staunch.invalid", ""},
		{"imap", "imap", []string{"* OK hi\r\n", "* CAPABILITY IMAP4rev1 STARTTLS\r\na001 OK\r\n", "a002 OK\r\n"}, "a002 STARTTLS", ""},
		{"imap without", "imap", []string{"* OK hi\r\n", "* CAPABILITY IMAP4rev1\r\na001 OK\r\n"}, "a001", fault.Unsupported},
		{"imap refuses", "imap", []string{"* BYE\r\n"}, "", fault.Unsupported},
		{"pop3", "pop3", []string{"+OK hi\r\n", "+OK\r\n"}, "STLS", ""},
		{"pop3 refuses", "pop3", []string{"+OK hi\r\n", "-ERR\r\n"}, "STLS", fault.Unsupported},
		{"ftp", "ftp", []string{"220 hi\r\n", "234 go\r\n"}, "AUTH TLS", ""},
		{"ftp agrees and fails", "ftp", []string{"220 hi\r\n", "500 OOPS: no key\r\n234 go\r\n"}, "AUTH TLS", fault.Unsupported},
		{"sieve", "sieve", []string{"\"IMPLEMENTATION\" \"x\"\r\n\"STARTTLS\"\r\nOK\r\n", "OK \"go\"\r\n"}, "STARTTLS", ""},
		{"sieve refuses", "sieve", []string{"\"STARTTLS\"\r\nOK\r\n", "NO\r\n"}, "STARTTLS", fault.Unsupported},
		{"nntp", "nntp", []string{"200 hi\r\n", "382 go\r\n"}, "STARTTLS", ""},
		{"nntp, no posting", "nntp", []string{"201 hi\r\n", "580 no\r\n"}, "STARTTLS", fault.Unsupported},
		{"xmpp", "xmpp", []string{"<?xml version='1.0'?><stream:stream>", features, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"}, "to='chat.example' version", ""},
		{"xmpp, two tags", "xmpp", []string{"<stream:stream>" + features, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'></proceed>"}, "jabber:client", ""},
		{"xmpp server", "xmpp-server", []string{"<stream:stream>" + features, "<proceed/>"}, "jabber:server", ""},
		{"xmpp, another domain", "xmpp", []string{"<stream:stream><stream:error><host-unknown/></stream:error></stream:stream>"}, "to=", fault.Unsupported},
		{"ldap", "ldap", []string{"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"}, "1.3.6.1.4.1.1466.20037", ""},
		{"ldap, long lengths", "ldap", []string{"\x30\x84\x00\x00\x00\x10\x02\x01\x01\x78\x84\x00\x00\x00\x07\x0a\x01\x00\x04\x00\x04\x00"}, "1466", ""},
		{"ldap refuses", "ldap", []string{"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x34\x04\x00\x04\x00"}, "1466", fault.Unsupported},
		{"ldap, something else", "ldap", []string{"SSH-2.0-x\r\n"}, "1466", fault.Corrupt},
		{"postgres", "postgres", []string{"S"}, "\x04\xd2\x16\x2f", ""},
		{"postgres without", "postgres", []string{"N"}, "\x04\xd2\x16\x2f", fault.Unsupported},
		{"postgres, something else", "postgres", []string{"E"}, "", fault.Corrupt},
		{"mysql", "mysql", []string{greeting("\xff\xff")}, "\x20\x00\x00\x01", ""},
		{"mysql without", "mysql", []string{greeting("\xff\xf7")}, "", fault.Unsupported},
		{"mysql refuses hosts", "mysql", []string{packet("\xff\x6a\x04Host blocked")}, "", fault.Unsupported},
		{"mysql, something else", "mysql", []string{"220 b\r\n"}, "", fault.Corrupt},
		{"a protocol that is none", "telnet", nil, "", fault.Usage},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &script{lines: slices.Clone(c.lines)}
			err := Upgrade(s, c.protocol, Asked{Name: "host.example", Domain: "chat.example"})
			if fault.KindOf(err) != c.kind {
				t.Errorf("%v (%s), want %q", err, fault.KindOf(err), c.kind)
			}
			if !strings.Contains(s.heard.String(), c.heard) {
				t.Errorf("it heard %q, want %q in it", s.heard.String(), c.heard)
			}
		})
	}
}

// Servers that talk for ever, or in one endless line, end in an error.
func TestEndlessServers(t *testing.T) {
	for _, protocol := range Protocols() {
		for _, what := range []string{"* 250-220-+OK <a> x\r\n", "250-x\r\n", "a", "\x00"} {
			err := Upgrade(&forever{what: what}, protocol, Asked{Name: "host.example"})
			if err == nil && protocol != "postgres" {
				t.Errorf("%s is content with an endless %q", protocol, what)
			}
		}
	}
}

type forever struct{ what string }

func (f *forever) Write(b []byte) (int, error) { return len(b), nil }
func (f *forever) Read(b []byte) (int, error) {
	return copy(b, strings.Repeat(f.what, 1+len(b)/len(f.what))), nil
}

func TestPortsThatTalkFirst(t *testing.T) {
	for port, want := range map[int]string{25: "smtp", 587: "smtp", 443: "", 5432: "postgres", 5222: "xmpp", 993: ""} {
		if got := ByPort(port); got != want {
			t.Errorf("port %d: %q, want %q", port, got, want)
		}
	}
}

func FuzzUpgrade(f *testing.F) {
	f.Add("smtp", "220 b\r\n250 STARTTLS\r\n220 go\r\n")
	f.Add("xmpp", "<stream:stream>"+features+"<proceed/>")
	f.Add("ldap", "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00")
	f.Add("mysql", greeting("\xff\xff"))
	f.Fuzz(func(t *testing.T, protocol, says string) {
		err := Upgrade(&script{lines: []string{says}}, protocol, Asked{Name: "host.example"})
		if err != nil && strings.ContainsAny(err.Error(), "\x1b\r\x00") {
			t.Errorf("%q would reach a terminal", err)
		}
	})
}
