package probe

import (
	"context"
	"errors"
	"syscall"
	"time"

	"staunch/fault"
	"staunch/see/probe/chain"
)

// see does what the mode asks for. closed tells that nothing listens there.
func (s *sight) see(ctx context.Context) (closed bool) {
	mode := s.l.q.mode()
	if mode == ModeCertificate {
		s.r.Heartbleed = Heartbleed{Verdict: NotTested, Reason: "only the certificate was asked for"}
		return s.certificateAlone(ctx)
	}
	if mode == ModeKeys {
		s.r.Heartbleed = Heartbleed{Verdict: NotTested, Reason: "only the keys were asked for"}
		return s.keysAlone(ctx)
	}
	if closed, ok := s.firstContact(ctx); !ok {
		return closed
	}
	s.secondOpinion(ctx)
	if mode == ModeHeartbleed {
		s.skip("everything but Heartbleed: it was not asked for")
		return false
	}
	if s.r.Heartbleed.Verdict == NotTested {
		s.noTLS = true
		s.unseen(fault.New(fault.Unsupported, "%s", s.r.Heartbleed.Reason))
		return false
	}
	s.handshake(ctx)
	if s.mute() {
		s.noTLS = true
		s.unseen(fault.New(fault.Timeout, "it takes connections, but does not answer TLS hellos"))
		return false
	}
	if mode == ModeQuick {
		s.quick(ctx)
	} else {
		s.full(ctx)
		s.sessions(ctx)
	}
	s.intrusive(ctx)
	s.judge(ctx)
	s.report()
	return false
}

// firstContact is the Heartbleed connection; ok is false when the endpoint could not be seen at all.
func (s *sight) firstContact(ctx context.Context) (closed, ok bool) {
	conn, err := s.d.Open(ctx)
	if err != nil {
		s.unseen(err)
		return errors.Is(err, syscall.ECONNREFUSED), false
	}
	s.r.Heartbleed, s.flight = s.heartbleed(ctx, conn)
	if s.flight != nil {
		s.served = s.flight.Certificates
	}
	return false, true
}

// mute holds for a server that answered neither of two very different hellos.
func (s *sight) mute() bool {
	return s.flight == nil && s.tls == nil && s.r.Heartbleed.Verdict == Inconclusive && s.r.Heartbleed.Reason == silentReason
}

func (s *sight) unseen(err error) {
	s.r.Error = err.Error()
	if s.r.Heartbleed.Verdict == "" {
		s.r.Heartbleed = Heartbleed{Verdict: NotTested, Reason: err.Error()}
	}
	s.skip("everything: %v", err)
}

func (s *sight) certificateAlone(ctx context.Context) (closed bool) {
	met, err := meet(ctx, s.d, nil)
	if err == nil {
		s.tls = met
	} else if fault.Is(err, fault.Unsupported) {
		s.served, err = oldChain(ctx, s.d, err)
	}
	if err != nil {
		s.unseen(err)
		return errors.Is(err, syscall.ECONNREFUSED)
	}
	s.judge(ctx)
	return false
}

func (s *sight) keysAlone(ctx context.Context) (closed bool) {
	keys, err := keysForAnyone(ctx, s.d)
	if err != nil {
		s.unseen(err)
		return errors.Is(err, syscall.ECONNREFUSED)
	}
	s.r.Keys = keys
	return false
}

// judge describes the served chain.
func (s *sight) judge(ctx context.Context) {
	if s.tls != nil && len(s.tls.chain) > 0 {
		s.served = s.tls.chain
		s.trust.Staple, s.trust.SCTList = s.tls.state.OCSPResponse, s.tls.state.SignedCertificateTimestamps
	}
	if len(s.served) == 0 {
		s.skip("the certificate: none could be read")
		return
	}
	s.trust.Roots, s.trust.Name, s.trust.Now, s.trust.Fetch = s.l.roots, s.d.SNI, time.Now(), s.l.fetch
	if s.trust.Name == "" {
		s.trust.Name = s.d.Address.String()
	}
	c, err := chain.Judge(ctx, s.served, s.trust)
	if err != nil {
		s.skip("the certificate: %v", err)
		return
	}
	s.r.Certificate = c
}
