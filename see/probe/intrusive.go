package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"staunch/fault"
	"staunch/see/probe/door"
	"staunch/see/probe/handshake"
	"staunch/see/probe/hello"
)

// The outcomes of an intrusive test.
const (
	flawVulnerable   = "vulnerable"
	flawNotSeen      = "not_seen"
	flawInconclusive = "inconclusive"
)

// intrusive sends what a broken client would. It runs only when the user asked for it, for targets named one by one.
func (s *sight) intrusive(ctx context.Context) {
	if !s.l.q.Intrusive {
		return
	}
	version, suites := s.newestOld()
	if version < hello.TLS10 {
		s.skip("ROBOT, Ticketbleed and early CCS: they need TLS 1.2 or older, which is not offered")
		return
	}
	s.r.Flaws = append(s.r.Flaws, s.ticketbleed(ctx, version), s.earlyCCS(ctx, version), s.robot(ctx, version, suites))
}

// ticketbleed resumes with a session id of 16 bytes: CVE-2016-9244 answers with 32, half of it memory.
func (s *sight) ticketbleed(ctx context.Context, version uint16) Flaw {
	flaw := Flaw{Name: "Ticketbleed (CVE-2016-9244)", Verdict: flawInconclusive}
	conn, err := s.d.Open(ctx)
	if err != nil {
		flaw.Reason = err.Error()
		return flaw
	}
	session, _, err := handshake.Finish(conn, handshake.Offer(version, s.d.SNI))
	_ = conn.Close() // only the ticket is wanted
	switch {
	case err != nil:
		flaw.Reason = "the handshake could not be finished: " + door.Plain(err)
		return flaw
	case len(session.Ticket) == 0:
		flaw.Verdict, flaw.Reason = flawNotSeen, "no session ticket was given"
		return flaw
	}
	offer := handshake.Offer(version, s.d.SNI)
	offer.SessionID, offer.TicketValue = bytes.Repeat([]byte{'S'}, 16), session.Ticket
	flight, got, err := s.d.Ask(ctx, offer, hello.UntilHello)
	switch {
	case got != door.Accepted:
		flaw.Reason = "the ticket was not answered: " + door.Plain(err)
	case len(flight.Hello.SessionID) > 16 && bytes.HasPrefix(flight.Hello.SessionID, offer.SessionID):
		flaw.Verdict, flaw.Reason = flawVulnerable, fmt.Sprintf("a session id of 16 bytes came back with %d", len(flight.Hello.SessionID))
	default:
		flaw.Verdict, flaw.Reason = flawNotSeen, "the session id came back as it was sent, or not at all"
	}
	return flaw
}

// earlyCCS switches to encryption before there are keys (CVE-2014-0224). Fixed code refuses at once; flawed code waits for more, and
// then fails to decrypt the next record, which fixed code never tries.
func (s *sight) earlyCCS(ctx context.Context, version uint16) Flaw {
	flaw := Flaw{Name: "early CCS (CVE-2014-0224)", Verdict: flawInconclusive}
	conn, reader, flight, err := s.toDone(ctx, s.d.Broad(version))
	if err != nil {
		flaw.Reason = door.Plain(err)
		return flaw
	}
	defer conn.Close()
	version = flight.Hello.Version
	patience := min(s.d.Timeout/3, 2*time.Second)
	answer, err := say(conn, reader, hello.Record(hello.RecordChangeCipherSpec, version, []byte{1}), patience)
	switch {
	case err == nil && answer.Kind == hello.RecordAlert:
		flaw.Verdict, flaw.Reason = flawNotSeen, "it refuses with "+alertName(answer.Body)
		return flaw
	case err == nil:
		flaw.Reason = fmt.Sprintf("answered by a record of type %d", answer.Kind)
		return flaw
	case door.Classify(err) == door.HungUp:
		flaw.Verdict, flaw.Reason = flawNotSeen, "it ends the connection at once"
		return flaw
	case door.Classify(err) != door.Silent:
		flaw.Reason = door.Plain(err)
		return flaw
	}
	answer, err = say(conn, reader, hello.Record(hello.RecordHandshake, version, make([]byte, 64)), patience)
	switch {
	case err == nil && answer.Kind == hello.RecordAlert && len(answer.Body) == 2 && (answer.Body[1] == 20 || answer.Body[1] == 21):
		flaw.Verdict, flaw.Reason = flawVulnerable, "it began to decrypt before keys were agreed on"
	case err != nil && door.Classify(err) == door.HungUp:
		flaw.Verdict, flaw.Reason = flawVulnerable, "it took the early change of cipher in silence and hung up at the record behind it"
	default:
		flaw.Reason = "it took the early change of cipher in silence, and what followed too"
	}
	return flaw
}

// say sends one record and reads one answer.
func say(conn net.Conn, reader *hello.Reader, record []byte, patience time.Duration) (hello.RecordRead, error) {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return hello.RecordRead{}, err
	}
	if _, err := conn.Write(record); err != nil {
		return hello.RecordRead{}, err
	}
	return reader.Next()
}

// toDone opens a connection and reads up to the ServerHelloDone.
func (s *sight) toDone(ctx context.Context, c hello.Client) (net.Conn, *hello.Reader, *hello.Flight, error) {
	conn, err := s.d.Open(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	if _, err = conn.Write(c.Marshal()); err == nil {
		reader := hello.NewReader(hello.NewRecords(conn))
		var flight *hello.Flight
		if flight, err = reader.Flight(hello.UntilDone); err == nil && flight.Done {
			return conn, reader, flight, nil
		}
	}
	_ = conn.Close() // of no use
	if err == nil {
		err = fault.New(fault.Unsupported, "the server chose TLS 1.3")
	}
	return nil, nil, nil, err
}

// robot sends five kinds of encrypted premaster secrets, of which only one is right; a server that tells them apart is an oracle
// (Böck, Somorovsky, Young: "Return Of Bleichenbacher's Oracle Threat", 2017). A difference counts only when it repeats.
func (s *sight) robot(ctx context.Context, version uint16, suites []uint16) Flaw {
	flaw := Flaw{Name: "ROBOT", Verdict: flawInconclusive}
	kx := filter(suites, hello.Suite.RSAKeyExchange)
	if len(kx) == 0 {
		return Flaw{Name: "ROBOT", Verdict: flawNotSeen, Reason: "no suite with RSA key exchange is offered"}
	}
	first, err := s.robotRound(ctx, version, kx)
	if err != nil {
		flaw.Reason = door.Plain(err)
		return flaw
	}
	if same(first) {
		flaw.Verdict, flaw.Reason = flawNotSeen, "five wrong and right paddings are answered alike: "+first[0]
		return flaw
	}
	second, err := s.robotRound(ctx, version, kx)
	switch {
	case err != nil:
		flaw.Reason = door.Plain(err)
	case second == first:
		flaw.Verdict, flaw.Reason = flawVulnerable, fmt.Sprintf("it tells paddings apart: %q", first)
	default:
		flaw.Reason = "the answers differ, but not in the same way twice"
	}
	return flaw
}

func same(answers [5]string) bool {
	for _, a := range answers {
		if a != answers[0] {
			return false
		}
	}
	return true
}

func (s *sight) robotRound(ctx context.Context, version uint16, suites []uint16) (answers [5]string, err error) {
	for i := range answers {
		if answers[i], err = s.robotOne(ctx, version, suites, i); err != nil {
			return answers, err
		}
	}
	return answers, nil
}

func (s *sight) robotOne(ctx context.Context, version uint16, suites []uint16, kind int) (string, error) {
	conn, reader, flight, err := s.toDone(ctx, s.d.Offering(version, suites))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if len(flight.Certificates) == 0 {
		return "", errors.New("no certificate was served")
	}
	key, err := handshake.RSAKey(flight.Certificates[0])
	if err != nil {
		return "", err
	}
	if err := conn.SetDeadline(time.Now().Add(s.d.Timeout / 2)); err != nil {
		return "", err
	}
	sealed := handshake.EncryptRaw(key, padded(key.Size(), kind, version))
	exchange := append([]byte{16, 0, byte((len(sealed) + 2) >> 8), byte(len(sealed) + 2), byte(len(sealed) >> 8), byte(len(sealed))}, sealed...)
	out := hello.Record(hello.RecordHandshake, version, exchange)
	out = append(out, hello.Record(hello.RecordChangeCipherSpec, version, []byte{1})...)
	out = append(out, hello.Record(hello.RecordHandshake, version, make([]byte, 64))...)
	if _, err := conn.Write(out); err != nil {
		return "write failed", nil // an answer too: the server hung up before it read all
	}
	answer, err := reader.Next()
	switch {
	case err != nil:
		return door.Plain(err), nil
	case answer.Kind == hello.RecordAlert:
		return alertName(answer.Body), nil
	}
	return fmt.Sprintf("record of type %d", answer.Kind), nil
}

// padded makes the five messages: right; wrong first bytes; zero in the wrong place; no zero at all; wrong version inside.
func padded(size, kind int, version uint16) []byte {
	m := bytes.Repeat([]byte{0x5a}, size)
	m[0], m[1] = 0, 2
	m[size-49], m[size-48], m[size-47] = 0, byte(version>>8), byte(version)
	switch kind {
	case 1:
		m[0], m[1] = 0x41, 0x17
	case 2:
		m[size-49], m[size-2] = 0x11, 0
	case 3:
		m[size-49] = 0x11
	case 4:
		m[size-48], m[size-47] = 2, 2
	}
	return m
}
