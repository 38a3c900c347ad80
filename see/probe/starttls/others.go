package starttls

import (
	"encoding/xml"
	"io"
	"strings"

	"staunch/fault"
	"staunch/tame"
)

// ftp is RFC 4217.
func ftp(c *conversation, _ Asked) error {
	if _, err := c.expect("the connection", "220"); err != nil {
		return err
	}
	if err := c.say("AUTH TLS\r\n"); err != nil {
		return err
	}
	lines, err := c.expect("AUTH TLS", "234")
	if err != nil {
		return err
	}
	// vsftpd has been seen to agree and to fail in the same reply
	if strings.Contains(strings.Join(lines, "\n"), "500 OOPS") {
		return fault.New(fault.Unsupported, "AUTH TLS fails: %q", tame.Short(lines[0], 200))
	}
	return nil
}

// nntp is RFC 4642.
func nntp(c *conversation, _ Asked) error {
	if _, err := c.expect("the connection", "200", "201"); err != nil {
		return err
	}
	if err := c.say("STARTTLS\r\n"); err != nil {
		return err
	}
	_, err := c.expect("STARTTLS", "382")
	return err
}

// xmpp is RFC 6120 section 5; namespace tells clients from servers.
func xmpp(namespace string) talk {
	return func(c *conversation, asked Asked) error {
		domain := asked.Domain
		if domain == "" {
			domain = asked.Name
		}
		err := c.say("<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='%s' to='%s' version='1.0'>", namespace, escaped(domain))
		if err != nil {
			return err
		}
		features, err := c.read("</stream:features>", "</stream:stream>", "<stream:features/>")
		if err != nil {
			return err
		}
		if !strings.Contains(features, "urn:ietf:params:xml:ns:xmpp-tls") {
			return xmppRefused(features, domain)
		}
		if err := c.say("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"); err != nil {
			return err
		}
		answer, err := c.read(">")
		if err != nil {
			return err
		}
		if !strings.Contains(answer, "<proceed") {
			return refused("starttls", answer)
		}
		// <proceed xmlns='...'></proceed> has a second tag
		if !strings.HasSuffix(answer, "/>") && c.in.Buffered() > 0 {
			_, err = c.read(">")
		}
		return err
	}
}

func xmppRefused(features, domain string) error {
	if strings.Contains(features, "host-unknown") || strings.Contains(features, "improper-addressing") {
		return fault.New(fault.Unsupported, "the server does not serve the domain %q: name it with --domain", tame.Short(domain, 200))
	}
	return fault.New(fault.Unsupported, "starttls is not offered")
}

func escaped(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder never fails
	return b.String()
}

// read reads up to the first of the ends.
func (c *conversation) read(ends ...string) (string, error) {
	var got []byte
	for len(got) < 32<<10 {
		b, err := c.in.ReadByte()
		if err != nil {
			return "", err
		}
		got = append(got, b)
		for _, end := range ends {
			if strings.HasSuffix(string(got[max(0, len(got)-len(end)):]), end) {
				return string(got), nil
			}
		}
	}
	return "", fault.New(fault.Corrupt, "an endless answer")
}

// ldapStartTLS is the extended request 1.3.6.1.4.1.1466.20037 (RFC 4511 section 4.14).
const ldapStartTLS = "\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"

func ldap(c *conversation, _ Asked) error {
	if err := c.say("%s", ldapStartTLS); err != nil {
		return err
	}
	message, err := c.berElement(0x30)
	if err != nil {
		return err
	}
	code, ok := ldapResult(message)
	if !ok {
		return fault.New(fault.Corrupt, "the answer is not LDAP")
	}
	if code != 0 {
		return fault.New(fault.Unsupported, "StartTLS is refused with result code %d", code)
	}
	return nil
}

// berElement reads one element with this tag and returns its content.
func (c *conversation) berElement(tag byte) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return nil, err
	}
	if head[0] != tag {
		return nil, fault.New(fault.Corrupt, "the answer is not LDAP")
	}
	size := int(head[1])
	if size >= 0x80 {
		long := make([]byte, size&0x7f)
		if len(long) == 0 || len(long) > 4 {
			return nil, fault.New(fault.Corrupt, "the answer has a wrong length")
		}
		if _, err := io.ReadFull(c.in, long); err != nil {
			return nil, err
		}
		size = 0
		for _, b := range long {
			size = size<<8 | int(b)
		}
	}
	if size > 16<<10 {
		return nil, fault.New(fault.Corrupt, "an answer of %d bytes", size)
	}
	body := make([]byte, size)
	_, err := io.ReadFull(c.in, body)
	return body, err
}

// ldapResult finds the result code of an ExtendedResponse; OpenLDAP writes short lengths, Active Directory long ones.
func ldapResult(message []byte) (code int, ok bool) {
	tag, _, end := element(message)
	if tag != 0x02 {
		return 0, false
	}
	tag, response, _ := element(message[end:])
	if tag != 0x78 {
		return 0, false
	}
	tag, value, _ := element(response)
	if tag != 0x0a || len(value) != 1 {
		return 0, false
	}
	return int(value[0]), true
}

// element returns tag and content of the first element, and where it ends; a zero tag when there is none.
func element(b []byte) (tag byte, value []byte, end int) {
	if len(b) < 2 {
		return 0, nil, 0
	}
	size, at := int(b[1]), 2
	if size >= 0x80 {
		n := size & 0x7f
		if n == 0 || n > 4 || len(b) < 2+n {
			return 0, nil, 0
		}
		size = 0
		for _, x := range b[2 : 2+n] {
			size = size<<8 | int(x)
		}
		at += n
	}
	if size < 0 || len(b)-at < size {
		return 0, nil, 0
	}
	return b[0], b[at : at+size : at+size], at + size
}

// postgres sends the SSLRequest of the PostgreSQL protocol.
func postgres(c *conversation, _ Asked) error {
	if err := c.say("%s", "\x00\x00\x00\x08\x04\xd2\x16\x2f"); err != nil {
		return err
	}
	answer, err := c.in.ReadByte()
	if err != nil {
		return err
	}
	switch answer {
	case 'S':
		return nil
	case 'N':
		return fault.New(fault.Unsupported, "the server does not do TLS here")
	}
	return fault.New(fault.Corrupt, "the answer is not PostgreSQL")
}

// mysqlSSL is the capability that a server must have to speak TLS (CLIENT_SSL).
const mysqlSSL = 0x0800

// mysql reads the greeting and sends an SSLRequest; the server does not answer it.
func mysql(c *conversation, _ Asked) error {
	var head [4]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return err
	}
	size := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
	if size < 1 || size > 4096 {
		return fault.New(fault.Corrupt, "the greeting is not MySQL")
	}
	greeting := make([]byte, size)
	if _, err := io.ReadFull(c.in, greeting); err != nil {
		return err
	}
	capabilities, err := mysqlCapabilities(greeting)
	if err != nil {
		return err
	}
	if capabilities&mysqlSSL == 0 {
		return fault.New(fault.Unsupported, "the server does not do TLS here")
	}
	return c.say("%s", "\x20\x00\x00\x01\x85\xae\xff\x00\x00\x00\x00\x01\x21"+strings.Repeat("\x00", 23))
}

// mysqlCapabilities reads the lower capability flags of a version 10 greeting.
func mysqlCapabilities(greeting []byte) (int, error) {
	if greeting[0] == 0xff {
		return 0, fault.New(fault.Unsupported, "the server refuses us: %q", tame.Short(string(greeting[min(3, len(greeting)):]), 200))
	}
	version, rest, found := strings.Cut(string(greeting[1:]), "\x00")
	if greeting[0] != 10 || !found || len(version) > 200 || len(rest) < 4+8+1+2 {
		return 0, fault.New(fault.Corrupt, "the greeting is not MySQL")
	}
	return int(rest[13]) | int(rest[14])<<8, nil
}
