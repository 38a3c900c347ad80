package list

import (
	"context"
	"slices"

	"staunch/see/probe/door"
	"staunch/see/probe/hello"
)

// newest lists the newest version up to TLS 1.2, with what its ServerKeyExchange messages show: groups, signature schemes, primes.
func (l *lister) newest(ctx context.Context, v *Version, offer []uint16) {
	spare := &spare{
		groups:     newChoice(hello.GroupIDs(hello.Groups(hello.TLS12)), !l.known.TLS13),
		signatures: newChoice(hello.SignatureIDs(), v.Number == hello.TLS12),
	}
	if f := l.known.Flight; f != nil && f.Hello != nil && f.Hello.Version == v.Number {
		spare.learn(f)
	}
	l.rest(ctx, v, offer, spare)
	curves := filter(v.Suites, func(s hello.Suite) bool { return s.ECDHE() && !s.PSK() })
	signed := filter(v.Suites, func(s hello.Suite) bool { return s.Ephemeral() && !s.Anonymous() && !s.PSK() })
	if len(filter(signed, func(s hello.Suite) bool { kind, _ := kindOf(s.ID); return kind != spare.dry })) == 0 {
		spare.signatures.over = true
	}
	l.left(ctx, v, curves, &spare.groups, "key exchange groups", func(c *hello.Client, ids []uint16) { c.Groups = ids }, func(k *hello.KeyExchange) uint16 { return k.Group })
	l.left(ctx, v, signed, &spare.signatures, "signature algorithms", func(c *hello.Client, ids []uint16) { c.Signatures = ids }, func(k *hello.KeyExchange) uint16 { return k.Signature })
	l.preference(ctx, v)
	if dhe := filter(signed, func(s hello.Suite) bool { return !s.ECDHE() }); len(dhe) > 0 && spare.dhBits == 0 {
		l.unseen("the size of the Diffie-Hellman prime: it could not be read")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.found.DHBits, l.found.Signatures = spare.dhBits, spare.signatures.found
	if !l.known.TLS13 && l.found.Groups == nil {
		l.found.Groups = spare.groups.found
	}
}

func filter(ids []uint16, keep func(hello.Suite) bool) []uint16 {
	var kept []uint16
	for _, id := range ids {
		if keep(hello.Named(id)) {
			kept = append(kept, id)
		}
	}
	return kept
}

// left asks for what is left of a list until the server takes none of it. The suites are offered the other way round, which shows whose order wins.
func (l *lister) left(ctx context.Context, v *Version, suites []uint16, c *choice, name string, set func(*hello.Client, []uint16), value func(*hello.KeyExchange) uint16) {
	for len(suites) > 0 && !c.over {
		offer := against(suites)
		client := l.d.Offering(v.Number, offer)
		set(&client, c.left)
		flight, got, err := l.ask(ctx, client, hello.UntilKeys)
		switch {
		case got == door.Refused || got == door.HungUp:
			c.over = true
		case got != door.Accepted:
			l.unseen("some " + name + ": " + door.Plain(err))
			return
		case flight.KeyExchange == nil || !slices.Contains(offer, flight.Hello.Suite):
			c.over = true
		default:
			v.picks = append(v.picks, pick{offer, flight.Hello.Suite, false})
			c.learn(value(flight.KeyExchange))
		}
	}
}
