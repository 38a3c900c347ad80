package advisory

import (
	"strings"

	"staunch/see/advisory/version"
)

// Answer is yes, no, or unclear.
type Answer int

// The answers of Covers. Unclear: a version that cannot be put in order.
const (
	Unclear Answer = iota
	No
	Yes
	Silent // the advisory does not speak about this thing at all
)

// Span is the range that decided, for people: "1.0.1 <= v < 1.0.1g".
type Span struct {
	Range
	Says    string // who says so, where it is not the advisory's own source
	Unfixed bool
}

// String writes a span the way people write ranges.
func (s Span) String() string {
	text := "v"
	if s.Introduced != "" {
		text = s.Introduced + " <= v"
	}
	switch {
	case s.Fixed != "":
		return text + " < " + s.Fixed
	case s.Last != "":
		return text + " <= " + s.Last
	case text == "v":
		return "every version"
	}
	return text
}

// Covers tells whether the ranges for a thing hold a version, and which range decided: for No it is the one whose end lies nearest below
// the version (the fix that this version has), if any.
func (a *Advisory) Covers(key Key, v string) (Answer, Span) {
	order := version.For(key.Ecosystem)
	if key.Ecosystem == "" {
		order = version.Upstream(key.Name)
	}
	answer, best := Silent, Span{}
	for _, aff := range a.Affects {
		if aff.Ecosystem != key.Ecosystem || aff.Name != key.Name {
			continue
		}
		if answer == Silent {
			answer = No
		}
		for _, exact := range aff.Versions {
			if n, ok := order(v, exact); ok && n == 0 || exact == v {
				return Yes, Span{Range{exact, "", exact}, aff.Says, aff.Unfixed}
			}
		}
		for _, r := range aff.Ranges {
			switch r.holds(order, v) {
			case Yes:
				return Yes, Span{r, aff.Says, aff.Unfixed}
			case Unclear:
				answer = Unclear
			case No:
				best = nearer(order, best, Span{r, aff.Says, aff.Unfixed}, v)
			}
		}
	}
	return answer, best
}

func (r Range) holds(order version.Order, v string) Answer {
	if v == "" || otherStream(v, r.Fixed) {
		return Unclear
	}
	for _, bound := range []struct {
		at   string
		keep func(int) bool
	}{
		{r.Introduced, func(n int) bool { return n >= 0 }},
		{r.Fixed, func(n int) bool { return n < 0 }},
		{r.Last, func(n int) bool { return n <= 0 }},
	} {
		if bound.at == "" {
			continue
		}
		n, ok := order(v, bound.at)
		if !ok {
			return Unclear
		}
		if !bound.keep(n) {
			return No
		}
	}
	if _, ok := order(v, v); !ok {
		return Unclear
	}
	return Yes
}

// otherStream tells two packages of Red Hat's modules apart whose streams differ (nodejs:18 and nodejs:20): their numbers do not compare. The stream is
// not written into a version; packages of one share major and minor number of upstream's release, so that others may be called unclear although they
// belong together, never the other way round.
func otherStream(v, fixed string) bool {
	const mark = "module+"
	if fixed == "" || !strings.Contains(v, mark) && !strings.Contains(fixed, mark) {
		return false
	}
	return strings.Contains(v, mark) != strings.Contains(fixed, mark) || line(v) != line(fixed)
}

// line is major and minor number of an rpm's version.
func line(v string) string {
	if _, rest, has := strings.Cut(v, ":"); has {
		v = rest
	}
	v, _, _ = strings.Cut(v, "-")
	parts := strings.SplitN(v, ".", 3)
	return strings.Join(parts[:min(len(parts), 2)], ".")
}

// nearer keeps the span whose fix is the highest that v still has.
func nearer(order version.Order, best, next Span, v string) Span {
	if next.Fixed == "" {
		return best
	}
	if n, ok := order(v, next.Fixed); !ok || n < 0 {
		return best
	}
	if best.Fixed == "" {
		return next
	}
	if n, ok := order(next.Fixed, best.Fixed); ok && n > 0 {
		return next
	}
	return best
}

// FixFor returns the first version that is good for somebody who runs v: the end of the range that holds it; "" when there is none or it is not known.
func (a *Advisory) FixFor(key Key, v string) string {
	if answer, span := a.Covers(key, v); answer == Yes {
		return span.Fixed
	}
	return ""
}
