// Package cert replaces every key that may have leaked, proves from outside that nobody serves the old one any more, and only then lets it be revoked.
package cert

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

// Point is one address that serves (or should serve) a name: what must be seen without the old key.
type Point struct {
	Name     string `json:"name"`    // endpoint of the fleet, or the CDN's name for it
	Address  string `json:"address"` // "192.0.2.1:443"
	SNI      string `json:"sni,omitempty"`
	StartTLS string `json:"starttls,omitempty"`
	Domain   string `json:"domain,omitempty"` // XMPP
}

// String names the point as plans do.
func (p Point) String() string {
	text := p.Name + "@" + p.Address
	if p.SNI != "" && p.SNI != p.Name {
		text += " (" + p.SNI + ")"
	}
	return text
}

// Sighting is what one look from one vantage point showed at one point.
type Sighting struct {
	Point  Point     `json:"point"`
	From   string    `json:"from"`
	At     time.Time `json:"at"`
	Keys   []string  `json:"keys,omitempty"`   // every SPKI that is served there
	Unseen string    `json:"unseen,omitempty"` // why nothing could be seen; never means "not served"
}

// Looker looks at points from one place.
type Looker struct {
	From string
	// See returns every key that the point serves now: of each kind (RSA and ECDSA may differ), and to those who ask for no name.
	See func(ctx context.Context, p Point) (spkis []string, err error)
	// Meet returns one key that it serves, for one handshake: enough to see that a key is served, not that none other is. May be nil.
	Meet func(ctx context.Context, p Point) (spki string, err error)
}

// For is a looker that is content as soon as it meets the wanted key.
func (l Looker) For(spki string) Looker {
	if l.Meet == nil {
		return l
	}
	return Looker{From: l.From, See: func(ctx context.Context, p Point) ([]string, error) {
		if met, err := l.Meet(ctx, p); err == nil && met == spki {
			return []string{met}, nil
		}
		return l.See(ctx, p)
	}}
}

// Serving is proof by observation: who served which key, seen when and from where. Only Observe makes one, and its fields are closed, so
// that no code path can revoke on anything but looks that were really made.
type Serving struct {
	points    []Point
	sightings []Sighting
	began     time.Time
	ended     time.Time
	times     int
	lookers   []string
}

// Watch says how long and how often is looked before something counts as gone.
type Watch struct {
	Times   int           // looks at each point from each vantage point, at least 1
	Every   time.Duration // pause between them: times and pause make the soak window
	Timeout time.Duration // for one look; 0: 10 s. Nine times as long where the server greets first (STARTTLS)
	Workers int           // points looked at side by side; 0: 16
}

// Observe looks at every point from every vantage point, so many times. It always returns a proof; what could not be seen is in it.
func Observe(ctx context.Context, points []Point, lookers []Looker, w Watch) Serving {
	if w.Times < 1 {
		w.Times = 1
	}
	if w.Timeout == 0 {
		w.Timeout = 10 * time.Second
	}
	if w.Workers == 0 {
		w.Workers = 16
	}
	s := Serving{points: slices.Clone(points), began: time.Now().UTC(), times: w.Times}
	for _, l := range lookers {
		s.lookers = append(s.lookers, l.From)
	}
	for i := range w.Times {
		if i > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(w.Every):
			}
		}
		s.sightings = append(s.sightings, round(ctx, points, lookers, w)...)
	}
	s.ended = time.Now().UTC()
	return s
}

// round is one look at everything.
func round(ctx context.Context, points []Point, lookers []Looker, w Watch) []Sighting {
	out := make([]Sighting, len(points)*len(lookers))
	places := make(chan struct{}, w.Workers)
	var all sync.WaitGroup
	for i, p := range points {
		for j, l := range lookers {
			places <- struct{}{}
			all.Go(func() {
				defer func() { <-places }()
				out[i*len(lookers)+j] = look(ctx, p, l, w.Timeout)
			})
		}
	}
	all.Wait()
	return out
}

func look(ctx context.Context, p Point, l Looker, timeout time.Duration) Sighting {
	s := Sighting{Point: p, From: l.From}
	if p.StartTLS != "" {
		timeout *= 9 // each of its connections may have to wait for a greeting
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	keys, err := l.See(ctx, p)
	s.At = time.Now().UTC()
	switch {
	case err != nil:
		s.Unseen = err.Error()
	case len(keys) == 0:
		s.Unseen = "the look showed no key"
	default:
		s.Keys = keys
	}
	return s
}

// Obstacle is a reason why a key cannot be revoked yet.
type Obstacle struct {
	Point Point  `json:"point"`
	Kind  string `json:"kind"` // serves, unseen, unknown
	Says  string `json:"says"`
}

// Against lists what stands against revoking a key: every point that still serves it and every point that was not seen each time. An
// empty list means: all known points were seen, each time, from every vantage point, without the key.
func (s Serving) Against(spki string) []Obstacle {
	if len(s.points) == 0 {
		return []Obstacle{{Kind: "unknown", Says: "nobody knows which endpoints serve this key"}}
	}
	if len(s.lookers) == 0 {
		return []Obstacle{{Kind: "unknown", Says: "nobody looked"}}
	}
	var out []Obstacle
	for _, p := range s.points {
		if o, is := s.at(p, spki); is {
			out = append(out, o)
		}
	}
	return out
}

// at judges one point: still serving beats unseen, for it is the worse news.
func (s Serving) at(p Point, spki string) (Obstacle, bool) {
	seen, unseen := 0, ""
	var serves []string
	for _, g := range s.sightings {
		switch {
		case g.Point != p:
		case g.Unseen != "":
			unseen = "from " + g.From + ": " + g.Unseen
		case slices.Contains(g.Keys, spki):
			serves = append(serves, g.From+" at "+g.At.Format("15:04:05"))
		default:
			seen++
		}
	}
	want := s.times * len(s.lookers)
	switch {
	case len(serves) > 0:
		return Obstacle{p, "serves", fmt.Sprintf("%s still serves the key (seen from %s)", p, serves[len(serves)-1])}, true
	case unseen != "":
		return Obstacle{p, "unseen", fmt.Sprintf("%s could not be seen %s", p, unseen)}, true
	case seen < want:
		return Obstacle{p, "unseen", fmt.Sprintf("%s was seen %d of %d times", p, seen, want)}, true
	}
	return Obstacle{}, false
}

// All reports whether every point was seen, each time, with this key: what a deployment has to prove. That another key is gone is proven by Against.
func (s Serving) All(spki string) (bool, []Obstacle) {
	var out []Obstacle
	good := map[Point]int{}
	for _, g := range s.sightings {
		switch {
		case g.Unseen != "":
			out = append(out, Obstacle{g.Point, "unseen", fmt.Sprintf("%s could not be seen from %s: %s", g.Point, g.From, g.Unseen)})
		case !slices.Contains(g.Keys, spki):
			out = append(out, Obstacle{g.Point, "serves", fmt.Sprintf("%s serves %s, seen from %s", g.Point, shortAll(g.Keys), g.From)})
		default:
			good[g.Point]++
		}
	}
	for _, p := range s.points {
		if good[p] < s.times*len(s.lookers) && !slices.ContainsFunc(out, func(o Obstacle) bool { return o.Point == p }) {
			out = append(out, Obstacle{p, "unseen", p.String() + " was not seen often enough"})
		}
	}
	return len(out) == 0 && len(s.points) > 0 && len(s.lookers) > 0, out
}

func shortAll(spkis []string) string {
	var out []string
	for _, k := range spkis {
		out = append(out, short(k))
	}
	return strings.Join(out, " and ")
}

// Points lists what was looked at.
func (s Serving) Points() []Point { return slices.Clone(s.points) }

// Sightings lists every look, for the timeline.
func (s Serving) Sightings() []Sighting { return slices.Clone(s.sightings) }

// Ended is when the last look was made.
func (s Serving) Ended() time.Time { return s.ended }

// From lists the vantage points, sorted.
func (s Serving) From() []string {
	out := slices.Clone(s.lookers)
	sort.Strings(out)
	return slices.Compact(out)
}
