package probe

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"time"

	"staunch/see/probe/door"
	"staunch/see/probe/hello"
)

// The record that tells vulnerable code from fixed code without reading anybody's memory: its length is the truth, only the padding
// that RFC 6520 section 4 demands is missing. Fixed code discards it; vulnerable code echoes it, with nothing but our own bytes.
// The length is more than the 4,096 bytes in which OpenSSL buffers what it writes during a handshake, and an answer fits one record.
const (
	beatLength  = 8000
	beatPadding = 16
	beatByte    = 'S'
)

// heartbleed gives the verdict; flight is what the same connection showed of the server, for whoever wants the certificate.
// The first attempt is made on conn, which it closes.
func (s *sight) heartbleed(ctx context.Context, conn net.Conn) (Heartbleed, *hello.Flight) {
	version := hello.TLS12
	for {
		verdict, flight, lower := s.heartbleedOn(conn, version)
		s.asked = version
		_ = conn.Close() // nothing is left to say on it
		if !lower {
			return verdict, flight
		}
		if version == hello.TLS12 && s.onlyTLS13(ctx) {
			return Heartbleed{Verdict: NoHeartbeat, Reason: "it speaks only TLS 1.3, which the flawed code never did"}, nil
		}
		if version--; version < hello.TLS10 {
			return verdict, flight
		}
		var err error
		if conn, err = s.d.Open(ctx); err != nil {
			return Heartbleed{Verdict: Inconclusive, Reason: "the server stopped answering: " + err.Error()}, nil
		}
	}
}

// onlyTLS13 asks a server that refused TLS 1.2 whether it speaks 1.3.
func (s *sight) onlyTLS13(ctx context.Context) bool {
	flight, got, _ := s.d.Ask(ctx, s.d.Modern(), hello.UntilHello)
	return got == door.Accepted && flight.Hello.Version == hello.TLS13
}

// heartbleedOn makes one attempt; lower asks for another with an older version.
func (s *sight) heartbleedOn(conn net.Conn, version uint16) (h Heartbleed, f *hello.Flight, lower bool) {
	c := s.d.Broad(version)
	c.Heartbeat = true
	if _, err := conn.Write(c.Marshal()); err != nil {
		return Heartbleed{Verdict: Inconclusive, Reason: "the connection broke while the hello was sent"}, nil, false
	}
	reader := hello.NewReader(hello.NewRecords(conn))
	flight, err := reader.Flight(hello.UntilDone)
	if flight.Hello == nil {
		return noHello(err, version)
	}
	h.Version = hello.VersionName(flight.Hello.Version)
	switch {
	case flight.Hello.Heartbeat != 1:
		h.Verdict, h.Reason = NoHeartbeat, "the server does not negotiate the heartbeat extension"
		if flight.Hello.Heartbeat == 2 {
			h.Reason = "the server says that heartbeats may not be sent to it"
		}
	case err != nil:
		h.Verdict, h.Reason = Inconclusive, "heartbeats are on, but the server's hello broke off: "+door.Plain(err)
	default:
		h = beat(conn, reader, flight.Hello.Version, s.d.Timeout)
	}
	return h, flight, false
}

// silentReason is what is said of a server that lets us wait.
const silentReason = "the server did not answer our hello in time"

// noHello reads why there was no ServerHello.
func noHello(err error, version uint16) (Heartbleed, *hello.Flight, bool) {
	alert, isAlert := hello.IsAlert(err)
	h := Heartbleed{Verdict: Inconclusive, Reason: "no handshake with " + hello.VersionName(version) + " or older: " + door.Plain(err)}
	switch door.Classify(err) {
	case door.NotTLS:
		h.Verdict, h.Reason = NotTested, door.Plain(err)
	case door.Silent:
		h.Reason = silentReason
	}
	return h, nil, isAlert && (alert.Code == hello.AlertProtocolVersion || alert.Code == hello.AlertHandshakeFailure) || door.Classify(err) == door.HungUp
}

// beat sends the record without padding and judges the answer; then, on silence, the honest record as a control.
func beat(conn net.Conn, reader *hello.Reader, version uint16, timeout time.Duration) Heartbleed {
	h := Heartbleed{Version: hello.VersionName(version), Method: "no padding"}
	body := make([]byte, 3+beatLength, 3+beatLength+beatPadding)
	body[0] = 1
	binary.BigEndian.PutUint16(body[1:], beatLength)
	copy(body[3:], bytes.Repeat([]byte{beatByte}, beatLength))
	first, second := min(timeout/2, 2*time.Second), min(timeout/2, 3*time.Second)
	if got := exchange(conn, reader, hello.Record(hello.RecordHeartbeat, version, body), first, &h); got != door.Silent {
		return h
	}
	control := append(body, make([]byte, beatPadding)...)
	switch exchange(conn, reader, hello.Record(hello.RecordHeartbeat, version, control), second, &h) {
	case door.Accepted:
		h.Verdict, h.Reason = Patched, "it discards the record without padding and answers the honest one"
		h.ForeignBytes = 0
	case door.Silent:
		h.Verdict, h.Reason = Inconclusive, "heartbeats are negotiated, but not even an honest one is answered: something between us may swallow them"
	}
	return h
}

// exchange sends one heartbeat record, reads one answer and writes the verdict for the record without padding.
func exchange(conn net.Conn, reader *hello.Reader, record []byte, wait time.Duration, h *Heartbleed) door.Answer {
	if err := conn.SetDeadline(time.Now().Add(wait)); err != nil {
		return door.Silent
	}
	if _, err := conn.Write(record); err != nil {
		h.Verdict, h.Reason = Inconclusive, "the server ended the connection at the heartbeat"
		return door.HungUp
	}
	got, err := reader.Next()
	switch {
	case err != nil && door.Classify(err) == door.Silent:
		return door.Silent
	case err != nil:
		h.Verdict, h.Reason = Inconclusive, "the server ended the connection at the heartbeat, which fixed and flawed code both may"
		return door.HungUp
	case got.Kind == hello.RecordAlert:
		h.Verdict, h.Reason = Patched, "it answers the record without padding with "+alertName(got.Body)
		return door.Refused
	case got.Kind == hello.RecordHeartbeat:
		h.ForeignBytes = foreign(got.Body)
		h.Verdict, h.Reason = Vulnerable, fmt.Sprintf("it answered a heartbeat without padding with %d bytes, which every fixed version discards", len(got.Body))
		return door.Accepted
	}
	h.Verdict, h.Reason = Inconclusive, fmt.Sprintf("the heartbeat was answered by a record of type %d", got.Kind)
	return door.NotTLS
}

// foreign counts bytes of the echo that are not ours: the type, the length and the padding are not part of the echo.
func foreign(body []byte) int {
	n := 0
	for i, b := range body {
		if i >= 3 && i < 3+beatLength && b != beatByte {
			n++
		}
	}
	return n + max(0, len(body)-3-beatLength-beatPadding)
}

func alertName(body []byte) string {
	if len(body) < 2 {
		return "an alert"
	}
	return hello.Alert{Level: body[0], Code: body[1]}.Error()
}
