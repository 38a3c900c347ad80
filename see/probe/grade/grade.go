// Package grade gives a letter with its reasons: "staunch rubric 1, after SSL Labs 2009r, offer-based".
package grade

import "strings"

// Rubric names the rules, so that letters of different rules are never compared.
const Rubric = "staunch rubric 1, after SSL Labs 2009r, offer-based"

// Grade is a letter and everything that led to it.
type Grade struct {
	Rubric      string    `json:"rubric"`
	Letter      string    `json:"letter"` // A+, A, A-, B, C, D, E, F, T (not trusted) or M (name mismatch)
	Score       int       `json:"score"`  // 0 to 100, before caps
	Protocol    int       `json:"protocol"`
	KeyExchange int       `json:"key_exchange"`
	Cipher      int       `json:"cipher"`
	Caps        []Cap     `json:"caps"`
	Warnings    []Warning `json:"warnings"`
	Next        []string  `json:"next,omitempty"`        // what to change to get the next letter
	UpperBound  bool      `json:"upper_bound,omitempty"` // not everything was asked: the true letter may be lower
}

// Cap is a rule that holds the letter down, with what was seen.
type Cap struct {
	Letter  string `json:"letter"`
	Because string `json:"because"`
	Change  string `json:"change"`
}

// Warning turns an A into an A-.
type Warning struct {
	Because string `json:"because"`
	Change  string `json:"change"`
}

// worst orders letters; T and M stand above all of them, because they say that the score means nothing.
const worst = "T M F E D C B A- A A+"

// Give grades what was seen. Facts without any version get no letter: "".
func Give(f Facts) Grade {
	g := Grade{Rubric: Rubric, Caps: []Cap{}, Warnings: []Warning{}, UpperBound: f.Partial}
	if len(f.Versions) == 0 {
		return g
	}
	g.Protocol, g.KeyExchange, g.Cipher = f.protocolScore(), f.exchangeScore(), f.cipherScore()
	if g.Protocol > 0 && g.KeyExchange > 0 && g.Cipher > 0 {
		g.Score = (30*g.Protocol + 30*g.KeyExchange + 40*g.Cipher) / 100
	}
	for _, r := range rules() {
		if because, found := r.finds(f); found {
			g.Caps = append(g.Caps, Cap{Letter: r.letter, Because: because, Change: r.change})
		}
	}
	for _, c := range cautions() {
		if c.holds(f) {
			g.Warnings = append(g.Warnings, Warning{Because: c.because, Change: c.change})
		}
	}
	g.Letter = letter(letterOf(g.Score), g.Caps, g.Warnings)
	g.next(f)
	return g
}

// letter applies caps and warnings to the letter that the score earned.
func letter(earned string, caps []Cap, warnings []Warning) string {
	if earned == "A" && len(warnings) == 0 {
		earned = "A+"
	}
	if earned == "A" {
		earned = "A-"
	}
	for _, c := range caps {
		if rank(c.Letter) < rank(earned) {
			earned = c.Letter
		}
	}
	return earned
}

func rank(letter string) int {
	for i, l := range strings.Fields(worst) {
		if l == letter {
			return i
		}
	}
	return -1
}

// Below tells whether a letter is worse than another.
func Below(a, b string) bool { return rank(a) < rank(b) }

// Known tells whether this is a letter of the rubric.
func Known(letter string) bool { return rank(letter) >= 0 }

// next collects what stands between this letter and the next one: the caps that hold it here, else the score, else the warnings.
func (g *Grade) next(f Facts) {
	for _, c := range g.Caps {
		if c.Letter == g.Letter {
			g.Next = append(g.Next, c.Change)
		}
	}
	if len(g.Next) == 0 && g.Letter == "A-" {
		for _, w := range g.Warnings {
			g.Next = append(g.Next, w.Change)
		}
	}
	if len(g.Next) == 0 && Below(g.Letter, "A-") {
		g.Next = append(g.Next, g.lowest(f))
	}
}

// lowest names the category that costs most.
func (g *Grade) lowest(f Facts) string {
	switch {
	case g.Protocol <= g.KeyExchange && g.Protocol <= g.Cipher:
		return "switch the oldest protocol version off"
	case g.KeyExchange <= g.Cipher:
		return "strengthen the key exchange: " + f.weakest()
	}
	return "remove the weakest cipher suites"
}
