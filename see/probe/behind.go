package probe

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"staunch/see/probe/door"
	"staunch/see/probe/handshake"
	"staunch/see/probe/hello"
)

// secondOpinion finishes a handshake and sends a heartbeat of length zero without padding: flawed code answers with 19 bytes, fixed code
// not at all. It asks for no byte of memory either. Source of the method: "The Matter of Heartbleed", IMC 2014.
func (s *sight) secondOpinion(ctx context.Context) {
	h := &s.r.Heartbleed
	version, known := versionNumber(h.Version)
	if h.Verdict != Inconclusive || !known {
		return
	}
	conn, err := s.d.Open(ctx)
	if err != nil {
		h.Reason += "; a second opinion could not be had: " + err.Error()
		return
	}
	defer conn.Close()
	session, flight, err := handshake.Finish(conn, handshake.Offer(version, s.d.SNI))
	if err != nil {
		h.Reason += "; a second opinion could not be had: " + door.Plain(err)
		return
	}
	if flight.Hello.Heartbeat != 1 {
		h.Reason += "; another connection did not negotiate heartbeats: several servers answer here"
		return
	}
	s.beatBehind(session, time.Now().Add(s.d.Timeout), conn.SetDeadline)
}

// beatBehind sends the bad heartbeat, and on silence the honest one.
func (s *sight) beatBehind(session *handshake.Session, end time.Time, deadline func(time.Time) error) {
	h := &s.r.Heartbleed
	for _, honest := range []bool{false, true} {
		body := []byte{1, 0, 0}
		if honest {
			body = append(body, make([]byte, beatPadding)...)
		}
		limit := time.Now().Add(min(s.d.Timeout/3, 2*time.Second))
		if limit.After(end) {
			limit = end
		}
		if deadline(limit) != nil || session.Write(hello.RecordHeartbeat, body) != nil {
			h.Reason += "; the connection broke at the second opinion"
			return
		}
		kind, answer, err := session.Read()
		switch {
		case err != nil && door.Classify(err) == door.Silent:
			continue
		case err != nil:
			h.Reason += "; the second opinion ended with: " + door.Plain(err)
		case kind == hello.RecordHeartbeat && honest:
			h.Verdict, h.Method = Patched, "after the handshake"
			h.Reason = "after a handshake it discards the heartbeat without padding and answers the honest one"
		case kind == hello.RecordHeartbeat:
			h.Verdict, h.Method, h.ForeignBytes = Vulnerable, "after the handshake", max(0, len(answer)-3-beatPadding)
			h.Reason = fmt.Sprintf("after a handshake it answered a heartbeat without padding with %d bytes, which every fixed version discards", len(answer))
		case kind == hello.RecordAlert && !honest:
			h.Verdict, h.Method, h.Reason = Patched, "after the handshake", "after a handshake it answers the heartbeat without padding with "+alertName(answer)
		default:
			h.Reason += fmt.Sprintf("; the second opinion was answered by a record of type %d", kind)
		}
		return
	}
	h.Reason += "; nor is one answered after a handshake"
}

func versionNumber(name string) (uint16, bool) {
	for v := hello.TLS10; v <= hello.TLS12; v++ {
		if hello.VersionName(v) == name {
			return v, true
		}
	}
	return 0, false
}

// sessions finishes handshakes of TLS 1.2 or older and learns what only shows behind them: resumption by id, renegotiation by the client.
// Renegotiation comes last, because there are servers that serve nobody else for a while after it.
func (s *sight) sessions(ctx context.Context) {
	version, _ := s.newestOld()
	if version < hello.TLS10 {
		return
	}
	offer := handshake.Offer(version, s.d.SNI)
	offer.Heartbeat, offer.Ticket = false, false // with a ticket many servers give no id
	err := s.finished(ctx, offer, func(session *handshake.Session, f *hello.Flight) {
		s.r.Renegotiate = &Renegotiation{Secure: f.Hello.Renegotiate, ClientInitiated: "unknown"}
		s.resumable(session)
		_ = session.Bye() // if it cannot be said, the server may forget the session, and we ask once more
	})
	if err == nil {
		s.resumesByID(ctx, offer)
		err = s.finished(ctx, offer, func(session *handshake.Session, _ *hello.Flight) {
			s.session = session
			s.resumesBeside(ctx, offer)
			s.r.Renegotiate.ClientInitiated = renegotiates(session, offer)
		})
	}
	if err != nil {
		s.skip("resumption by session id and renegotiation started by a client: the handshake could not be finished: %s", door.Plain(err))
	}
}

// finished makes one handshake and closes its connection behind do: some servers serve one connection at a time.
func (s *sight) finished(ctx context.Context, offer hello.Client, do func(*handshake.Session, *hello.Flight)) error {
	conn, err := s.d.Open(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	session, flight, err := handshake.Finish(conn, offer)
	if err == nil {
		do(session, flight)
	}
	return err
}

func (s *sight) resumable(session *handshake.Session) {
	if s.r.Resumption == nil {
		s.r.Resumption = &Resumption{}
	}
	s.r.Resumption.Tickets = s.r.Resumption.Tickets || s.flight != nil && s.flight.Hello.Ticket
	s.session = session
}

// renegotiates sends a well-formed hello inside the session, and nothing behind it: an alert in the middle of a renegotiation ends Node 0.10. A server that starts over offers strangers a cheap way to make it work.
func renegotiates(session *handshake.Session, offer hello.Client) string {
	offer.Random = nil
	if session.Renegotiate(offer) != nil {
		return "refused"
	}
	kind, body, err := session.Read()
	switch {
	case err != nil && door.Classify(err) == door.Silent:
		return "unknown"
	case err != nil || kind == hello.RecordAlert:
		return "refused"
	case kind == hello.RecordHandshake && len(body) > 0 && body[0] == 2:
		return "accepted"
	}
	return "unknown"
}

// resumesBeside asks again while the session's connection is still open: Node 0.8 forgets it with the connection.
func (s *sight) resumesBeside(ctx context.Context, offer hello.Client) {
	if s.r.Resumption.SessionIDs {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, min(s.d.Timeout/3, 700*time.Millisecond))
	defer cancel()
	s.resumesByID(ctx, offer)
}

// resumesByID offers the id of the finished session; a server that gives it back takes the session up again.
func (s *sight) resumesByID(ctx context.Context, offer hello.Client) {
	session := s.session
	if len(session.ID) == 0 {
		return
	}
	offer.SessionID, offer.Suites, offer.Random = session.ID, []uint16{session.Suite}, nil
	flight, got, err := s.d.Ask(ctx, offer, hello.UntilHello)
	if got == door.Silent || got == door.Unseen {
		s.r.Resumption.Unsure = "session ids: " + door.Plain(err)
		return
	}
	s.r.Resumption.SessionIDs = got == door.Accepted && bytes.Equal(flight.Hello.SessionID, session.ID)
}
