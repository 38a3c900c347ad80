package verdict

import (
	"slices"

	"staunch/see/advisory"
	"staunch/see/scan/elf"
)

// The ranks of evidence, strongest last (docs/verdicts.md).
const (
	rankNone = iota
	rankName
	rankVersion
	rankPackage
	rankFlag
	rankBuild
	rankCode
	rankProbe
)

// clue is one piece of evidence with what it says about the question; an empty vote says nothing, but is shown.
type clue struct {
	rank          int
	vote          State
	justification Justification
	evidence      elf.Evidence
}

// verdict is what one advisory makes of one subject.
type verdict struct {
	advisory      *advisory.Advisory
	state         State
	justification Justification
	rank          int // of the evidence that decided
	clues         []clue
	reason        reason // why unknown
	grouped       reason // set when this unknown belongs into one line with all others of its subject
	candidate     bool   // upstream's range names this version
	fix           remedy
	base          *Finding // what is the same for every process
	baseOf        string   // the path that it was made for
}

// reason is why something is unknown.
type reason string

// The reasons.
const (
	notLoaded   reason = "not_loaded"   // the distribution's data is not here
	noVersion   reason = "no_version"   // the component's version is not known
	oldPackage  reason = "old_package"  // the file in memory is a package's former one
	overwritten reason = "overwritten"  // written in place after the process started
	notTold     reason = "not_told"     // the data is here and says nothing
	carried     reason = "carried_copy" // a copy inside a distribution's package
)

// says is the sentence that a person reads, and what would settle it.
func (r reason) says() string {
	switch r {
	case notLoaded:
		return "patch level not loaded: a distribution patches this package, and its data is not here; staunch advisories update would settle it"
	case noVersion:
		return "the version of this copy is not written anywhere in it; the vendor, or a build with a version, would settle it"
	case oldPackage:
		return "the code in memory is a former file of its package, whose patch level is not recorded any more; a restart onto the file on disk would settle it"
	case overwritten:
		return "the file was written in place after the process started, so neither the old nor the new code can be proven; a restart would settle it"
	case carried:
		return "this copy lies inside a distribution's package, which may patch it and whose data says nothing of it; the package's maintainer would settle it"
	}
	return "the sources that are loaded say nothing that decides this; a look at the code, or the vendor's word, would settle it"
}

// decide lets the strongest clue with a vote win, shows all, and explains conflicts.
func decide(a *advisory.Advisory, clues []clue) verdict {
	slices.SortStableFunc(clues, func(x, y clue) int { return y.rank - x.rank })
	v := verdict{advisory: a, state: Unknown, clues: clues}
	for _, c := range clues {
		if c.vote != "" {
			v.state, v.justification, v.rank = c.vote, c.justification, c.rank
			break
		}
	}
	if v.state != Unknown {
		end := slices.IndexFunc(clues, func(c clue) bool { return c.rank == rankNone })
		if end < 0 {
			end = len(clues)
		}
		v.clues = slices.Insert(slices.Clip(clues), end, conflicts(v, clues)...)
	}
	return v
}

// conflicts says, for every weaker voice that was overruled, why it was.
func conflicts(v verdict, clues []clue) []clue {
	var list []clue
	for _, c := range clues {
		if c.vote == "" || good(c.vote) == good(v.state) {
			continue
		}
		list = append(list, clue{evidence: elf.Evidence{
			Kind: "conflict",
			Says: "the " + rankWord(c.rank) + " alone would say \"" + words(c.vote) + "\", but the " + rankWord(v.rank) + " weighs more",
		}})
	}
	return list
}

func good(s State) bool { return s == Fixed || s == NotAffected }

func words(s State) string {
	if s == NotAffected {
		return "not affected"
	}
	return string(s)
}

func rankWord(rank int) string {
	return []string{"rest", "name", "version number", "package record", "build flag", "known build", "code", "live probe"}[rank]
}

func probeClue(p Probe) clue {
	if p.Positive {
		return clue{rank: rankProbe, vote: Affected, evidence: elf.Evidence{Kind: "probe", Says: "a live probe proved it: " + p.Says}}
	}
	return clue{rank: rankProbe, evidence: elf.Evidence{
		Kind: "probe", Says: "a live probe did not show it (" + p.Says + "); that proves nothing of the code, another machine or process may have answered",
	}}
}
