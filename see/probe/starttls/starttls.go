// Package starttls talks a plain-text protocol up to the point where TLS may begin.
package starttls

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"staunch/fault"
	"staunch/tame"
)

// Limits on what a server may say before TLS begins.
const (
	maxLine  = 4096
	maxLines = 200
	maxBytes = 64 << 10
)

// Asked is what a preamble needs to know besides the connection.
type Asked struct {
	Name   string // the name to greet with and, for XMPP without Domain, to ask for
	Domain string // XMPP: the domain served, which is seldom the host's name
}

// talk is one preamble; it leaves the connection where the ClientHello belongs.
type talk func(c *conversation, asked Asked) error

func protocols() map[string]talk {
	return map[string]talk{
		"smtp": smtp("EHLO"), "lmtp": smtp("LHLO"), "imap": imap, "pop3": pop3, "ftp": ftp, "sieve": sieve, "nntp": nntp,
		"xmpp": xmpp("jabber:client"), "xmpp-server": xmpp("jabber:server"), "ldap": ldap, "postgres": postgres, "mysql": mysql,
	}
}

// Protocols returns the names that Upgrade knows, sorted.
func Protocols() []string {
	var names []string
	for name := range protocols() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// ByPort returns the protocol that a well-known port speaks, or "" where TLS starts at once or nothing is known.
func ByPort(port int) string {
	return map[int]string{
		21: "ftp", 24: "lmtp", 25: "smtp", 110: "pop3", 119: "nntp", 143: "imap", 389: "ldap", 587: "smtp", 2525: "smtp", 3306: "mysql",
		3268: "ldap", 4190: "sieve", 5222: "xmpp", 5269: "xmpp-server", 5432: "postgres",
	}[port]
}

// Upgrade talks protocol over rw until TLS may begin. Deadlines are the caller's.
// Faults: Unsupported when the server has no STARTTLS, Full when it asks us to come back later, Corrupt when it says something else,
// Unreachable when it ends the conversation.
func Upgrade(rw io.ReadWriter, protocol string, asked Asked) error {
	speak := protocols()[protocol]
	if speak == nil {
		return fault.New(fault.Usage, "unknown STARTTLS protocol %q", tame.Short(protocol, 200)).Hinted("known: %s", strings.Join(Protocols(), ", "))
	}
	c := &conversation{rw: rw, in: bufio.NewReaderSize(io.LimitReader(rw, maxBytes), maxLine)}
	if err := speak(c, asked); err != nil {
		return named(protocol, err)
	}
	if c.in.Buffered() > 0 {
		return fault.New(fault.Corrupt, "%s: the server went on talking in plain text after it agreed to TLS", protocol)
	}
	return nil
}

// named says which protocol failed, and turns what the network says into a fault; a timeout stays one that callers can tell.
func named(protocol string, err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return fault.New(f.Kind, "%s: %s", protocol, f.What)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fault.New(fault.Unreachable, "%s: the server ended the conversation before TLS", protocol)
	}
	if errors.Is(err, bufio.ErrBufferFull) {
		return fault.New(fault.Corrupt, "%s: a line of more than %d bytes", protocol, maxLine)
	}
	return fault.New(fault.Unreachable, "%s", protocol).Caused(err)
}

// conversation reads lines and writes requests.
type conversation struct {
	rw io.ReadWriter
	in *bufio.Reader
}

func (c *conversation) say(format string, args ...any) error {
	_, err := fmt.Fprintf(c.rw, format, args...)
	return err
}

func (c *conversation) line() (string, error) {
	b, err := c.in.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// until reads lines up to the first for which end holds, and returns all of them.
func (c *conversation) until(end func(string) bool) ([]string, error) {
	var lines []string
	for range maxLines {
		line, err := c.line()
		if err != nil {
			return lines, err
		}
		if lines = append(lines, line); end(line) {
			return lines, nil
		}
	}
	return lines, fault.New(fault.Corrupt, "more than %d lines", maxLines)
}

// reply reads one reply of a protocol with three-digit codes, whose last line has a space behind the code.
func (c *conversation) reply() ([]string, error) {
	return c.until(func(line string) bool { return len(line) == 3 || len(line) > 3 && line[3] == ' ' && digits(line[:3]) })
}

func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// expect reads one reply and wants its code to start with one of the codes.
func (c *conversation) expect(what string, codes ...string) ([]string, error) {
	lines, err := c.reply()
	if err != nil {
		return nil, err
	}
	last := lines[len(lines)-1]
	for _, code := range codes {
		if strings.HasPrefix(last, code) {
			return lines, nil
		}
	}
	return nil, refused(what, last)
}

// refused tells "too many connections" from a no.
func refused(what, line string) error {
	if strings.HasPrefix(line, "421") {
		return fault.New(fault.Full, "the server asks to come back later: %q", tame.Short(line, 200))
	}
	return fault.New(fault.Unsupported, "%s is refused: %q", what, tame.Short(line, 200))
}
