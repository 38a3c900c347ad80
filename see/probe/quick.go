package probe

import (
	"context"
	"sync"

	"staunch/see/probe/door"
	"staunch/see/probe/hello"
	"staunch/see/probe/list"
)

// quick asks for the bad things only, in about six more connections.
func (s *sight) quick(ctx context.Context) {
	s.seen = map[uint16]*list.Version{}
	for _, v := range []uint16{hello.TLS10, hello.TLS11, hello.TLS12, hello.TLS13} {
		s.seen[v] = &list.Version{Number: v}
	}
	if s.flight != nil && s.flight.Hello != nil {
		s.note(s.flight.Hello.Version, s.flight.Hello.Suite)
		if k := s.flight.KeyExchange; k != nil {
			s.dhBits = k.DHBits
			if k.Group != 0 {
				s.r.Groups = []Named{{ID: hex16(k.Group), Name: hello.GroupNamed(k.Group).Name}}
			}
		}
	}
	if s.tls != nil {
		s.note(s.tls.state.Version, s.tls.state.CipherSuite)
	}
	top, _ := s.newestOld()
	var wait sync.WaitGroup
	wait.Go(func() {
		l := list.SSLv2(ctx, s.d)
		s.mu.Lock()
		s.seen[hello.SSL20] = l
		s.mu.Unlock()
	})
	wait.Go(func() { s.try(ctx, hello.SSL30, hello.Suites(hello.SSL30)) })
	wait.Go(func() { s.try(ctx, hello.TLS11, door.BroadSuites()) })
	if top >= hello.TLS10 {
		wait.Go(func() { s.try(ctx, top, filter(hello.Suites(top), tooWeak)) })
		wait.Go(func() {
			s.try(ctx, top, filter(hello.Suites(top), func(x hello.Suite) bool { return x.RC4() || x.Block64() }))
		})
	}
	wait.Wait()
	if _, suites := s.newestOld(); top == hello.TLS12 && !s.offers(hello.TLS13) && len(filter(suites, fine)) == 0 {
		s.try(ctx, top, filter(hello.Suites(top), fine))
	}
}

func tooWeak(x hello.Suite) bool { return x.Export() || x.Anonymous() || x.Bits() < 112 }

// fine are suites with forward secrecy and AEAD.
func fine(x hello.Suite) bool { return x.ForwardSecret() && x.AEAD() && !x.Anonymous() && !x.PSK() }

// try makes one offer and notes what was chosen, in whichever version.
func (s *sight) try(ctx context.Context, version uint16, suites []uint16) {
	flight, got, err := s.d.Ask(ctx, s.d.Offering(version, suites), hello.UntilHello)
	switch got {
	case door.Accepted:
		s.note(flight.Hello.Version, flight.Hello.Suite)
	case door.Silent, door.Unseen:
		s.skip("%s: %s", hello.VersionName(version), door.Plain(err))
	}
}

// note remembers that a version was agreed on with a suite.
func (s *sight) note(version, suite uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.seen[version]
	if l == nil {
		l = &list.Version{Number: version}
		s.seen[version] = l
	}
	l.Offered = true
	for _, id := range l.Suites {
		if id == suite {
			return
		}
	}
	l.Suites = append(l.Suites, suite)
}
