package probe

import (
	"context"
	"slices"

	"staunch/see/probe/hello"
)

// listing is what one version was seen to accept.
type listing struct {
	version    uint16
	suites     []uint16 // in the order in which the server chose them
	v2         []uint32 // SSLv2
	offered    bool
	preference bool // the server's order wins
	deflate    bool
	group      uint16 // TLS 1.3: the group that the server likes best
	// refusedSuites: the version may be spoken, but not with the long list that was offered
	refusedSuites bool
	unsure        string
}

// tooMany is how long a list of suites may be for servers that give up on long ones.
const tooMany = 64

// list finds every suite of a version: it offers all, notes the choice, offers the rest, until the server says no.
func (d *door) list(ctx context.Context, version uint16) *listing {
	l := &listing{version: version}
	all := hello.Suites(version)
	end, first := d.drain(ctx, l, all)
	l.refusedSuites = len(l.suites) == 0 && first != protocolNo
	if end == hungUp || end == silent {
		d.control(ctx, l, end)
	}
	d.conclude(ctx, l)
	return l
}

// conclude says what the found suites mean, and asks whose order wins.
func (d *door) conclude(ctx context.Context, l *listing) {
	l.offered = len(l.suites) > 0
	if len(l.suites) > 1 && l.unsure == "" {
		l.preference = d.prefers(ctx, l)
	}
}

// refusal tells a no to the version from a no to the suites.
type refusal int

const (
	protocolNo refusal = iota + 1
	suitesNo
)

// drain offers suites until the server takes none; it returns how that ended, and why the very first offer failed, when it did.
func (d *door) drain(ctx context.Context, l *listing, offer []uint16) (end answer, first refusal) {
	retried := false
	for len(offer) > 0 {
		flight, got, err := d.ask(ctx, d.offering(l.version, offer), hello.UntilHello)
		switch {
		case got == accepted && flight.Hello.Version != l.version:
			return refused, protocolNo
		case got == accepted && !slices.Contains(offer, flight.Hello.Suite):
			l.unsure = "the server chose a suite that was not offered"
			return refused, suitesNo
		case got == accepted:
			l.suites = append(l.suites, flight.Hello.Suite)
			l.deflate = l.deflate || flight.Hello.Compression == 1
			l.group = flight.Hello.Group
			offer = hello.Without(offer, flight.Hello.Suite)
			retried = false
		case (got == silent || got == unseen || got == hungUp) && !retried && len(l.suites) > 0:
			retried = true
		case got == notTLS || got == unseen:
			l.unsure = plain(err)
			return got, protocolNo
		default:
			if alert, ok := hello.IsAlert(err); ok && alert.Code == hello.AlertProtocolVersion {
				return got, protocolNo
			}
			return got, suitesNo
		}
	}
	return refused, suitesNo
}

// listInParts tries again with short lists: some load balancers drop long ones.
func (d *door) listInParts(ctx context.Context, l *listing) {
	all := hello.Suites(l.version)
	probe := all
	if l.version < hello.TLS13 {
		probe = broadSuites()[:tooMany]
	}
	flight, got, _ := d.ask(ctx, d.offering(l.version, probe), hello.UntilHello)
	if got != accepted || flight.Hello.Version != l.version {
		return
	}
	for part := range slices.Chunk(all, tooMany) {
		d.drain(ctx, l, part)
	}
	if l.unsure == "" || len(l.suites) > 0 {
		d.conclude(ctx, l)
	}
}

// control repeats what the server took before: only while that still works does a broken connection mean "not offered".
func (d *door) control(ctx context.Context, l *listing, end answer) {
	c := d.broad(hello.TLS12)
	if len(l.suites) > 0 {
		c = d.offering(l.version, l.suites)
	}
	_, got, _ := d.ask(ctx, c, hello.UntilHello)
	switch {
	case got != accepted && got != refused && end == silent:
		l.unsure = "the server stopped answering"
	case got != accepted && len(l.suites) > 0:
		l.unsure = "the server broke off, and then refused what it had accepted before"
	case got == hungUp || got == unseen:
		l.unsure = "the server breaks off every connection now"
	case end == silent:
		l.unsure = "the server is silent to this version"
	}
}

// prefers tells whose order wins: the found suites are offered the other way round.
func (d *door) prefers(ctx context.Context, l *listing) bool {
	offer := hello.Reversed(l.suites)
	if len(offer) > 2 { // a server may favour ChaCha20 because the client does, and else its own order
		offer = slices.DeleteFunc(offer, func(id uint16) bool {
			return hello.Named(id).Bits() == 256 && id != l.suites[0] && isChaCha(id)
		})
	}
	flight, got, _ := d.ask(ctx, d.offering(l.version, offer), hello.UntilHello)
	return got == accepted && flight.Hello.Suite == l.suites[0]
}

func isChaCha(id uint16) bool { return id>>8 == 0xcc || id == 0x1303 }

// offering is a hello for exactly this version with these suites.
func (d *door) offering(version uint16, suites []uint16) hello.Client {
	if version == hello.TLS13 {
		c := d.modern()
		c.Suites = suites
		return c
	}
	c := d.broad(version)
	c.Suites, c.Deflate = suites, true
	return c
}

// groups13 lists the groups of TLS 1.3 by HelloRetryRequests.
// The best liked one is known from listing suites.
func (d *door) groups13(ctx context.Context, best uint16) (groups []uint16, unsure string) {
	c := d.modern()
	if slices.Contains(c.Groups, best) {
		groups, c.Groups = []uint16{best}, hello.Without(c.Groups, best)
	}
	for len(c.Groups) > 0 {
		flight, got, err := d.ask(ctx, c, hello.UntilHello)
		switch {
		case got == refused || got == hungUp || got == accepted && !slices.Contains(c.Groups, flight.Hello.Group):
			return groups, ""
		case got != accepted:
			return groups, plain(err)
		}
		groups = append(groups, flight.Hello.Group)
		c.Groups = hello.Without(c.Groups, flight.Hello.Group)
	}
	return groups, ""
}

// exchanges lists what ServerKeyExchange messages show of a TLS 1.2 or older server: groups, or signature schemes.
// Each answer is shown to see, when that is not nil.
func (d *door) exchanges(ctx context.Context, version uint16, suites []uint16, signatures bool, see func(*hello.KeyExchange)) (found []uint16, unsure string) {
	c := d.offering(version, suites)
	list := &c.Groups
	if signatures {
		list = &c.Signatures
	}
	for len(*list) > 0 {
		flight, got, err := d.ask(ctx, c, hello.UntilDone)
		if got != accepted && (flight == nil || flight.KeyExchange == nil) {
			if got == refused || got == hungUp {
				return found, ""
			}
			return found, plain(err)
		}
		k := flight.KeyExchange
		if k == nil {
			return found, ""
		}
		if see != nil {
			see(k)
		}
		value := k.Group
		if signatures {
			value = k.Signature
		}
		if !slices.Contains(*list, value) {
			return found, ""
		}
		found = append(found, value)
		*list = hello.Without(*list, value)
	}
	return found, ""
}

// sslv2 asks for the oldest version, whose server lists everything at once.
func (d *door) sslv2(ctx context.Context) *listing {
	l := &listing{version: hello.SSL20}
	conn, err := d.open(ctx)
	if err != nil {
		l.unsure = err.Error()
		return l
	}
	defer conn.Close()
	if _, err := conn.Write(hello.V2Hello()); err != nil {
		return l
	}
	got, err := hello.ReadV2(conn)
	switch {
	case err == nil:
		l.offered, l.v2 = true, got.Suites
		if len(got.Suites) == 0 {
			l.unsure = "it answers SSLv2 with an empty list of ciphers (CVE-2015-3197 forces one all the same)"
		}
	case classify(err) == silent:
		l.unsure = "no answer to an SSLv2 hello in time"
	}
	return l
}
