package list

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"slices"

	"staunch/see/probe/door"
	"staunch/see/probe/hello"
)

// modern lists TLS 1.3: suites and groups out of HelloRetryRequests, which cost nobody a key, and the schemes with which the server would sign.
func (l *lister) modern(ctx context.Context) {
	v := &Version{Number: hello.TLS13}
	defer func() { l.put(v) }()
	whole := hello.GroupIDs(hello.Groups(hello.TLS13))
	all := &spare{groups: newChoice(whole, true), signatures: newChoice(hello.SignatureIDs(), false)}
	l.rest(ctx, v, ordered(hello.TLS13), all)
	if !v.Offered {
		return
	}
	s := &schemes{l: l, v: v, pending: l.known.Schemes}
	s.calibrate(ctx)
	l.groups(ctx, v, &all.groups, s)
	s.finish(ctx)
	l.preference(ctx, v)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.found.Groups, l.found.Modern = all.groups.found, s.found
}

// groups lists what is left of the groups; each hello tries a scheme beside, where the server looks at them this early.
func (l *lister) groups(ctx context.Context, v *Version, g *choice, s *schemes) {
	for !g.over {
		c := l.d.Offering(hello.TLS13, against(v.Suites))
		whole := c.Signatures
		c.Groups = g.left
		one, trying := s.next()
		if trying {
			c.Signatures = []uint16{one}
		}
		flight, got, err := l.ask(ctx, c, hello.UntilHello)
		if trying && got != door.Accepted { // for the group, or for the scheme?
			c.Signatures = whole
			flight, got, err = l.ask(ctx, c, hello.UntilHello)
			s.tried(one, false, got == door.Accepted)
		} else if trying {
			s.tried(one, true, true)
		}
		switch {
		case got == door.Refused || got == door.HungUp:
			g.over = true
		case got != door.Accepted:
			l.unseen("some key exchange groups: " + door.Plain(err))
			return
		default:
			v.picks = append(v.picks, pick{c.Suites, flight.Hello.Suite, true})
			g.learn(flight.Hello.Group)
		}
	}
}

// schemes finds with which signature schemes a TLS 1.3 server would sign. Which of them it likes best is chosen behind encryption and stays unknown.
type schemes struct {
	l       *lister
	v       *Version
	pending []uint16 // that the served key could do
	found   []uint16
	early   bool            // a hello without a share is refused for its schemes as well
	share   *hello.KeyShare // else: what brings the server to look at them
}

// calibrate offers only schemes of other keys. A refusal says that there is no other certificate, and that the server looks at schemes
// before it asks for a share; where it asks for one, the same is asked again with a share.
func (s *schemes) calibrate(ctx context.Context) {
	if len(s.pending) == 0 {
		s.l.unseen("signature algorithms of TLS 1.3: the key of the certificate is not known")
		return
	}
	var others []uint16
	for _, x := range hello.Signatures() {
		if x.Modern() && !slices.Contains(s.pending, x.ID) {
			others = append(others, x.ID)
		}
	}
	flight, got, err := s.ask(ctx, others)
	switch got {
	case door.Refused, door.HungUp:
		s.early = true
	case door.Accepted:
		if s.share = shareOf(flight.Hello.Group); s.share == nil {
			s.stop("the server wants a share of " + hello.GroupNamed(flight.Hello.Group).Name)
			return
		}
		s.supported(ctx, others)
	default:
		s.stop(door.Plain(err))
	}
}

func (s *schemes) stop(why string) {
	s.l.unseen("some signature algorithms of TLS 1.3: " + why)
	s.pending = nil
}

// ask offers all found suites with these schemes.
func (s *schemes) ask(ctx context.Context, ids []uint16) (*hello.Flight, door.Answer, error) {
	c := s.l.d.Offering(hello.TLS13, s.v.Suites)
	c.Signatures = ids
	if s.share != nil {
		c.Groups, c.KeyShare = []uint16{s.share.Group}, s.share
	}
	return s.l.ask(ctx, c, hello.UntilHello)
}

// supported notes which of ids the server takes, halving what it takes some of.
func (s *schemes) supported(ctx context.Context, ids []uint16) {
	if len(ids) == 0 {
		return
	}
	switch _, got, err := s.ask(ctx, ids); {
	case got == door.Refused || got == door.HungUp:
	case got != door.Accepted:
		s.stop(door.Plain(err))
	case len(ids) == 1:
		s.found = append(s.found, ids[0])
	default:
		s.supported(ctx, ids[:len(ids)/2])
		s.supported(ctx, ids[len(ids)/2:])
	}
}

// next is the scheme to try beside something else.
func (s *schemes) next() (id uint16, any bool) {
	if !s.early || len(s.pending) == 0 {
		return 0, false
	}
	return s.pending[0], true
}

// tried notes what a hello with one scheme showed; a refusal counts only where the same hello with all schemes is accepted.
func (s *schemes) tried(id uint16, accepted, certain bool) {
	if accepted {
		s.found = append(s.found, id)
	}
	if certain {
		s.pending = hello.Without(s.pending, id)
	}
}

// finish asks for the schemes that nothing was tried beside, one by one.
func (s *schemes) finish(ctx context.Context) {
	for len(s.pending) > 0 {
		id := s.pending[0]
		s.pending = s.pending[1:]
		s.supported(ctx, []uint16{id})
	}
}

// shareOf makes a key share for a group that crypto/ecdh has; nil for others.
func shareOf(group uint16) *hello.KeyShare {
	curve := map[uint16]ecdh.Curve{0x001d: ecdh.X25519(), 0x0017: ecdh.P256(), 0x0018: ecdh.P384(), 0x0019: ecdh.P521()}[group]
	if curve == nil {
		return nil
	}
	key, err := curve.GenerateKey(rand.Reader)
	if err != nil {
		return nil
	}
	return &hello.KeyShare{Group: group, Data: key.PublicKey().Bytes()}
}
