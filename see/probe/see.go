package probe

import (
	"context"
	"errors"
	"slices"
	"sync"
	"syscall"
	"time"

	"staunch/fault"
	"staunch/see/probe/chain"
	"staunch/see/probe/hello"
)

// see does what the mode asks for. closed tells that nothing listens there.
func (s *sight) see(ctx context.Context) (closed bool) {
	mode := s.l.q.mode()
	if mode == ModeCertificate {
		s.r.Heartbleed = Heartbleed{Verdict: NotTested, Reason: "only the certificate was asked for"}
		return s.certificateAlone(ctx)
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
	conn, err := s.d.open(ctx)
	if err != nil {
		s.unseen(err)
		return errors.Is(err, syscall.ECONNREFUSED), false
	}
	s.r.Heartbleed, s.flight = s.d.heartbleed(ctx, conn)
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
	met, err := s.d.meet(ctx, nil)
	if err == nil {
		s.tls = met
	} else if fault.Is(err, fault.Unsupported) {
		s.served, err = s.d.oldChain(ctx, err)
	}
	if err != nil {
		s.unseen(err)
		return errors.Is(err, syscall.ECONNREFUSED)
	}
	s.judge(ctx)
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

// full lists everything that hellos can show, versions side by side.
func (s *sight) full(ctx context.Context) {
	s.seen = map[uint16]*listing{}
	var wait sync.WaitGroup
	for _, v := range []uint16{hello.SSL20, hello.SSL30, hello.TLS10, hello.TLS11, hello.TLS12, hello.TLS13} {
		wait.Go(func() {
			var l *listing
			if v == hello.SSL20 {
				l = s.d.sslv2(ctx)
			} else {
				l = s.d.list(ctx, v)
			}
			s.mu.Lock()
			s.seen[v] = l
			s.mu.Unlock()
		})
	}
	wait.Wait()
	s.shorter(ctx)
	s.strengths(ctx)
}

// shorter asks again with short lists when no version took a long one: some load balancers drop those.
func (s *sight) shorter(ctx context.Context) {
	if top, _ := s.newestOld(); top != 0 || s.offers(hello.TLS13) {
		return
	}
	for v := hello.TLS13; v >= hello.SSL30; v-- {
		if l := s.seen[v]; l.refusedSuites {
			s.d.listInParts(ctx, l)
		}
	}
}

// strengths asks for groups, primes and signature schemes, now that the suites are known.
func (s *sight) strengths(ctx context.Context) {
	version, suites := s.newestOld()
	ecdhe := filter(suites, func(x hello.Suite) bool { return x.ECDHE() && !x.PSK() })
	dhe := filter(suites, func(x hello.Suite) bool { return x.Ephemeral() && !x.ECDHE() && !x.PSK() })
	signed := filter(suites, func(x hello.Suite) bool { return x.Ephemeral() && !x.Anonymous() && !x.PSK() })
	var wait sync.WaitGroup
	wait.Go(func() { s.groups(ctx, version, ecdhe) })
	wait.Go(func() { s.signatures(ctx, version, signed, dhe) })
	wait.Wait()
}

func filter(ids []uint16, keep func(hello.Suite) bool) []uint16 {
	return slices.DeleteFunc(slices.Clone(ids), func(id uint16) bool { return !keep(hello.Named(id)) })
}

// newestOld is the newest version up to TLS 1.2 that was seen, with its suites.
func (s *sight) newestOld() (uint16, []uint16) {
	for v := hello.TLS12; v >= hello.SSL30; v-- {
		if l := s.seen[v]; l != nil && len(l.suites) > 0 {
			return v, l.suites
		}
	}
	return 0, nil
}

func (s *sight) groups(ctx context.Context, version uint16, ecdhe []uint16) {
	var ids []uint16
	var unsure string
	switch {
	case s.offers(hello.TLS13):
		ids, unsure = s.d.groups13(ctx, s.seen[hello.TLS13].group)
	case len(ecdhe) > 0:
		ids, unsure = s.d.exchanges(ctx, version, ecdhe, false, nil)
	}
	if unsure != "" {
		s.skip("some key exchange groups: %s", unsure)
	}
	for _, id := range ids {
		s.r.Groups = append(s.r.Groups, Named{ID: hex16(id), Name: hello.GroupNamed(id).Name})
	}
}

func (s *sight) offers(version uint16) bool { return s.seen[version] != nil && s.seen[version].offered }

// signatures lists signature schemes, over DHE suites where there are some, because those show the size of their prime as well.
func (s *sight) signatures(ctx context.Context, version uint16, signed, dhe []uint16) {
	if len(dhe) > 0 {
		signed = dhe
	}
	var ids []uint16
	var unsure string
	if len(signed) > 0 {
		ids, unsure = s.d.exchanges(ctx, version, signed, true, func(k *hello.KeyExchange) { s.dhBits = k.DHBits })
	}
	if len(dhe) > 0 && s.dhBits == 0 {
		s.skip("the size of the Diffie-Hellman prime: it could not be read")
	}
	if version != hello.TLS12 || len(signed) == 0 {
		s.skip("signature algorithms: only a TLS 1.2 server with forward secrecy shows them before encryption")
		return
	}
	if unsure != "" {
		s.skip("some signature algorithms: %s", unsure)
	}
	for _, id := range ids {
		s.r.Signatures = append(s.r.Signatures, Named{ID: hex16(id), Name: hello.SignatureNamed(id)})
	}
}
