// Package list finds what a server accepts by offering and taking away: each hello shows one choice of every kind at once (suite, group,
// signature scheme), so that fewer connections are needed than there are answers.
package list

import (
	"context"
	"slices"
	"sync"

	"staunch/see/probe/door"
	"staunch/see/probe/hello"
)

// Known is what earlier connections showed.
type Known struct {
	Flight  *hello.Flight // the answer to a broad hello of TLS 1.2; nil: none
	Offered []uint16      // the suites of that hello
	TLS13   bool          // a complete handshake agreed on TLS 1.3
	Schemes []uint16      // with which the served key could sign in TLS 1.3; empty: the key is not known
}

// Version is what one version was seen to accept.
type Version struct {
	Number     uint16
	Suites     []uint16 // in the order in which the server chose them
	V2         []uint32 // SSLv2
	Offered    bool
	Preference bool // the server's order wins
	Deflate    bool
	Unsure     string // why Offered or Suites may be incomplete
	picks      []pick
	versionNo  bool // the server said no to the version, not to what was offered with it
}

// Found is everything that was seen.
type Found struct {
	Versions   map[uint16]*Version
	Groups     []uint16 // of TLS 1.3, else of the newest older version
	Signatures []uint16 // of TLS 1.2
	Modern     []uint16 // signature schemes of TLS 1.3
	DHBits     int      // the smallest prime of the newest version up to TLS 1.2; 0: none seen
	Unseen     []string // what could not be told, with the reason
}

// lister is one endpoint being asked; versions are asked side by side.
type lister struct {
	d     *door.Door
	known Known
	mu    sync.Mutex
	found Found
	short bool // long lists of suites are dropped, by the server or by a box before it
}

// All lists everything that hellos can show.
func All(ctx context.Context, d *door.Door, known Known) Found {
	l := &lister{d: d, known: known, found: Found{Versions: map[uint16]*Version{}}}
	var wait sync.WaitGroup
	wait.Go(func() { l.put(SSLv2(ctx, d)) })
	wait.Go(func() { l.modern(ctx) })
	wait.Go(func() { l.old(ctx) })
	wait.Wait()
	l.shorter(ctx)
	return l.found
}

func (l *lister) put(v *Version) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.found.Versions[v.Number] = v
}

func (l *lister) unseen(says string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.found.Unseen = append(l.found.Unseen, says)
}

// old lists TLS 1.2 and everything before it, newest first: a server that answers a hello with an older version has none between, because
// it must take the newest that both speak (RFC 5246 appendix E.1), and one that refuses the version has none older either.
func (l *lister) old(ctx context.Context) {
	var wait sync.WaitGroup
	defer wait.Wait()
	newest := true
	for next := hello.TLS12; next >= hello.SSL30; next-- {
		v, offer := l.first(ctx, next)
		for ; next > v.Number; next-- {
			l.put(&Version{Number: next, versionNo: true})
		}
		l.put(v)
		switch {
		case len(v.Suites) > 0 && newest:
			newest = false
			wait.Go(func() { l.newest(ctx, v, offer) })
		case len(v.Suites) > 0:
			wait.Go(func() {
				l.rest(ctx, v, offer, nil)
				l.preference(ctx, v)
			})
		case v.versionNo && v.Unsure == "" && next < hello.TLS12:
			for next--; next >= hello.SSL30; next-- {
				l.put(&Version{Number: next, versionNo: true})
			}
			return
		}
	}
}

// first makes the first offer of a version, or takes what is known: the version that it led to, with the suites that are left to offer.
func (l *lister) first(ctx context.Context, version uint16) (*Version, []uint16) {
	if f := l.known.Flight; version == hello.TLS12 && f != nil && f.Hello != nil && f.Hello.Version <= hello.TLS12 && f.Hello.Version >= hello.SSL30 {
		v := &Version{Number: f.Hello.Version}
		v.choose(f, l.known.Offered, true)
		return v, hello.Without(ordered(v.Number), f.Hello.Suite)
	}
	v, offer := &Version{Number: version}, ordered(version)
	flight, got, err := l.d.Ask(ctx, l.d.Offering(version, offer), hello.UntilHello)
	switch {
	case got == door.Accepted && flight.Hello.Version < version && flight.Hello.Version >= hello.SSL30:
		v.Number = flight.Hello.Version
		fallthrough
	case got == door.Accepted && flight.Hello.Version == version:
		v.choose(flight, offer, true)
		return v, hello.Without(ordered(v.Number), flight.Hello.Suite)
	case got == door.Accepted:
		v.Unsure = "the server answers with " + hello.VersionName(flight.Hello.Version)
	case got == door.NotTLS || got == door.Unseen:
		v.Unsure, v.versionNo = door.Plain(err), true
	case got == door.Refused:
		alert, _ := hello.IsAlert(err)
		v.versionNo = alert.Code == hello.AlertProtocolVersion
	default:
		l.control(ctx, v, got)
	}
	return v, nil
}

// ordered is every suite of a version: first those that show a signature, then the others, each in rising order of ids.
func ordered(version uint16) []uint16 {
	all := hello.Suites(version)
	if version == hello.TLS13 {
		return all
	}
	signed := func(id uint16) bool { s := hello.Named(id); return s.Ephemeral() && !s.PSK() && !s.Anonymous() }
	first := slices.DeleteFunc(slices.Clone(all), func(id uint16) bool { return !signed(id) })
	return append(first, slices.DeleteFunc(all, signed)...)
}

// rest offers what is left until the server takes none of it, and says what the found suites mean. spare may be nil.
func (l *lister) rest(ctx context.Context, v *Version, offer []uint16, spare *spare) {
	end := l.drain(ctx, v, offer, spare)
	v.Offered = len(v.Suites) > 0
	if end == door.HungUp || end == door.Silent {
		l.control(ctx, v, end)
	}
}

// ask is Ask, once more where the connection broke: outside the listing of suites nothing else would tell that from a no.
func (l *lister) ask(ctx context.Context, c hello.Client, until hello.Until) (*hello.Flight, door.Answer, error) {
	flight, got, err := l.d.Ask(ctx, c, until)
	if got == door.HungUp || got == door.Unseen {
		return l.d.Ask(ctx, c, until)
	}
	return flight, got, err
}

// drain offers suites until the server takes none; it returns how that ended. Behind them stands the first one that it took: a server that
// takes the client's order comes back to it only when nothing else is left, and one with an order of its own at once, which is then left in peace.
func (l *lister) drain(ctx context.Context, v *Version, offer []uint16, spare *spare) door.Answer {
	retried, alone := false, false
	for len(offer) > 0 {
		c := l.d.Offering(v.Number, offer)
		known := !alone && len(v.Suites) > 0
		if known {
			c.Suites = append(slices.Clone(offer), v.Suites[0])
		}
		reduced, until := spare.reduce(&c)
		flight, got, err := l.d.Ask(ctx, c, until)
		if reduced && !spare.fits(flight, got) {
			spare.doubt(&c, got)
			continue
		}
		switch {
		case got == door.Accepted && flight.Hello.Version != v.Number:
			return door.Refused
		case got == door.Accepted && !slices.Contains(c.Suites, flight.Hello.Suite):
			v.Unsure = "the server chose a suite that was not offered"
			return door.Refused
		case got == door.Accepted && !slices.Contains(offer, flight.Hello.Suite):
			spare.learn(flight)
			v.again(flight, c.Suites, !reduced)
			switch {
			case follows(v.picks, v.Suites) != clients:
				alone = true
			case reduced && v.Number < hello.TLS13:
				spare.off = true // the end must be seen with whole lists
			default:
				return got
			}
		case got == door.Accepted:
			spare.learn(flight)
			v.choose(flight, c.Suites, !reduced)
			offer, retried = hello.Without(offer, flight.Hello.Suite), false
		case (got == door.Silent || got == door.Unseen || got == door.HungUp) && !retried && len(v.Suites) > 0:
			retried = true
		case got == door.NotTLS || got == door.Unseen:
			v.Unsure = door.Plain(err)
			return got
		case known && len(offer) > tooMany: // with a suite in it that it takes: the list is too long
			return l.parts(ctx, v, offer, spare)
		case known:
			alone = true
		default:
			return got
		}
	}
	return door.Refused
}

// tooMany is how long a list of suites may be for servers, and boxes before them, that give up on long ones.
const tooMany = 64

// parts drains a list that is too long, part by part.
func (l *lister) parts(ctx context.Context, v *Version, offer []uint16, spare *spare) (end door.Answer) {
	l.mu.Lock()
	l.short = true
	l.mu.Unlock()
	for part := range slices.Chunk(offer, tooMany) {
		end = l.drain(ctx, v, part, spare)
	}
	return end
}

// choose notes a suite that is new, again one that was chosen before.
func (v *Version) choose(f *hello.Flight, offer []uint16, whole bool) {
	v.Suites, v.Offered = append(v.Suites, f.Hello.Suite), true
	v.again(f, offer, whole)
}

func (v *Version) again(f *hello.Flight, offer []uint16, whole bool) {
	v.picks = append(v.picks, pick{offer, f.Hello.Suite, whole})
	v.Deflate = v.Deflate || f.Hello.Compression == 1
}

// control repeats what the server took before: only while that still works does a broken connection mean "not offered".
// The suites are offered the other way round, so that the answer shows whose order wins as well.
func (l *lister) control(ctx context.Context, v *Version, end door.Answer) {
	c := l.d.Broad(hello.TLS12)
	if len(v.Suites) > 0 {
		c = l.d.Offering(v.Number, against(v.Suites))
	}
	flight, got, _ := l.d.Ask(ctx, c, hello.UntilHello)
	switch {
	case got == door.Accepted && len(v.Suites) > 0:
		v.again(flight, c.Suites, true)
	case got == door.Accepted && end != door.Silent:
	case got != door.Accepted && got != door.Refused && end == door.Silent:
		v.Unsure = "the server stopped answering"
	case got != door.Accepted && len(v.Suites) > 0:
		v.Unsure = "the server broke off, and then refused what it had accepted before"
	case got == door.HungUp || got == door.Unseen:
		v.Unsure = "the server breaks off every connection now"
	case end == door.Silent:
		v.Unsure = "the server is silent to this version"
	}
}

// shorter asks again with short lists for versions that took no long one, where long ones are dropped or nothing at all was taken.
func (l *lister) shorter(ctx context.Context) {
	top := uint16(0)
	for _, v := range l.found.Versions {
		if v.Offered && v.Number != hello.SSL20 {
			top = max(top, v.Number)
		}
	}
	if top != 0 && !l.short {
		return
	}
	for version := hello.TLS12; version >= hello.SSL30; version-- {
		v := l.found.Versions[version]
		if v.Offered || v.versionNo {
			continue
		}
		flight, got, _ := l.d.Ask(ctx, l.d.Offering(version, door.BroadSuites()[:tooMany]), hello.UntilHello)
		if got != door.Accepted || flight.Hello.Version != version {
			continue
		}
		v.Unsure = ""
		if v.choose(flight, door.BroadSuites()[:tooMany], true); version > top {
			top = version
			l.newest(ctx, v, hello.Without(ordered(version), flight.Hello.Suite))
			continue
		}
		l.rest(ctx, v, hello.Without(ordered(version), flight.Hello.Suite), nil)
		l.preference(ctx, v)
	}
}

// SSLv2 asks for the oldest version, whose server lists everything at once.
func SSLv2(ctx context.Context, d *door.Door) *Version {
	v := &Version{Number: hello.SSL20}
	conn, err := d.Open(ctx)
	if err != nil {
		v.Unsure = err.Error()
		return v
	}
	defer conn.Close()
	if _, err := conn.Write(hello.V2Hello()); err != nil {
		return v
	}
	got, err := hello.ReadV2(conn)
	switch {
	case err == nil:
		v.Offered, v.V2 = true, got.Suites
		if len(got.Suites) == 0 {
			v.Unsure = "it answers SSLv2 with an empty list of ciphers (CVE-2015-3197 forces one all the same)"
		}
	case door.Classify(err) == door.Silent:
		v.Unsure = "no answer to an SSLv2 hello in time"
	}
	return v
}
