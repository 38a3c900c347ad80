package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"staunch/see/probe/hello"
	"staunch/see/probe/list"
	"staunch/tame"
)

// handshake makes a complete handshake: chain, staple, timestamps, ALPN and, over HTTP, HSTS.
func (s *sight) handshake(ctx context.Context) {
	s.cache = tls.NewLRUClientSessionCache(1)
	m, err := meet(ctx, s.d, func(conn *tls.Conn, m *met) {
		if s.web() {
			s.hsts(conn)
		} else {
			settle(conn)
		}
		m.state = conn.ConnectionState()
	}, s.asClient("http/1.1"))
	if err != nil {
		s.skip("what only a complete handshake shows (HSTS, staple, resumption): %v", err)
		return
	}
	s.tls = m
	if m.state.NegotiatedProtocol != "" {
		s.r.ALPN = append(s.r.ALPN, m.state.NegotiatedProtocol)
	}
}

// asClient keeps sessions, and asks a web server for these protocols.
func (s *sight) asClient(protocols ...string) func(*tls.Config) {
	return func(c *tls.Config) {
		c.ClientSessionCache = s.cache
		if s.web() {
			c.NextProtos = protocols
		}
	}
}

func (s *sight) web() bool { return s.d.StartTLS == "" && speaksHTTP(s.d.Port) }

// speaksHTTP is false for the ports of other protocols that start with TLS: an HTTP request would only end up in their logs.
func speaksHTTP(port uint16) bool {
	switch port {
	case 465, 563, 636, 853, 989, 990, 992, 993, 994, 995, 3269, 5061, 5223, 5349, 6514, 6697, 8883:
		return false
	}
	return true
}

// settle reads what comes right behind a handshake, so that a TLS 1.3 ticket is taken in.
func settle(conn *tls.Conn) {
	_ = conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond)) // a connection that is gone shows in the next read
	_, _ = conn.Read(make([]byte, 1))                                // whatever comes: only the ticket before it matters
}

// resume makes a second handshake with what the first one left in the cache, and asks for HTTP/2 in it.
func (s *sight) resume(ctx context.Context) {
	if s.tls == nil {
		return
	}
	m, err := meet(ctx, s.d, nil, s.asClient("h2", "http/1.1"))
	if err != nil {
		s.skip("session resumption: %v", err)
		return
	}
	if m.state.NegotiatedProtocol == "h2" {
		s.r.ALPN = append([]string{"h2"}, s.r.ALPN...)
	}
	r := &Resumption{}
	if m.state.DidResume {
		r.TLS13 = m.state.Version == tls.VersionTLS13
		r.Tickets = !r.TLS13
	}
	s.r.Resumption = r
}

// maxHeader is how much of an HTTP answer's head is read.
const maxHeader = 64 << 10

// hsts asks for the root page and reads its Strict-Transport-Security header; the body is not read.
func (s *sight) hsts(conn *tls.Conn) {
	host := s.d.SNI
	if host == "" {
		host = s.d.AddrPort().String()
	}
	request := "GET / HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: staunch-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n"
	if _, err := io.WriteString(conn, request); err != nil {
		s.skip("HSTS: the server did not take an HTTP request")
		return
	}
	answer, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, maxHeader)), nil)
	if err != nil {
		s.skip("HSTS: the server does not answer with HTTP")
		return
	}
	defer answer.Body.Close()
	s.r.HSTS = parseHSTS(answer.Header.Values("Strict-Transport-Security"))
}

// parseHSTS reads the header of RFC 6797; of several only the first counts.
func parseHSTS(values []string) *HSTS {
	if len(values) == 0 {
		return &HSTS{}
	}
	h := &HSTS{Present: true, MaxAge: -1, Header: tame.Short(values[0], 200)}
	for part := range strings.SplitSeq(values[0], ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if !strings.EqualFold(strings.TrimSpace(name), "max-age") {
			continue
		}
		if n, err := strconv.ParseInt(strings.Trim(strings.TrimSpace(value), "\""), 10, 64); err == nil && n >= 0 {
			h.MaxAge = n
		}
	}
	return h
}

func hex16(id uint16) string { return fmt.Sprintf("0x%04x", id) }

// named writes suites as the report shows them.
func named(l *list.Version) []Named {
	var all []Named
	for _, id := range l.Suites {
		all = append(all, Named{ID: hex16(id), Name: hello.Named(id).Name})
	}
	for _, id := range l.V2 {
		name, _ := hello.V2Suite(id)
		all = append(all, Named{ID: fmt.Sprintf("0x%06x", id), Name: name})
	}
	return all
}
