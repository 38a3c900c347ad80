package incident

import (
	"fmt"
	"slices"
	"strings"
)

// Harm is what a bug lets a stranger do.
type Harm string

// The harms, mildest first.
const (
	Unjudged  Harm = "unknown"   // nothing says what it does: treated as the worst that was not ruled out, until somebody decides
	Denial    Harm = "denial"    // the process stops answering; nothing is read or changed
	Integrity Harm = "integrity" // data can be changed or forged, not read
	Access    Harm = "access"    // somebody gets in, or passes for somebody else
	Memory    Harm = "memory"    // memory of the process can be read: keys, passwords, tokens, whatever passes through
	Execution Harm = "execution" // code of a stranger's runs with the process's rights
)

// Follow is what must follow a patch.
type Follow string

// What must follow.
const (
	FollowNothing Follow = "nothing" // the patch is enough
	FollowSecrets Follow = "secrets" // new keys, tokens, passwords and sessions
	FollowTokens  Follow = "tokens"  // new tokens and sessions
	FollowReview  Follow = "review"  // what was written since the bug came in must be checked
	FollowRebuild Follow = "rebuild" // new secrets, and the hosts rebuilt from scratch: nobody can tell what was left behind
	FollowUnknown Follow = "unknown" // somebody must decide
)

// Impact is the judgement of a bug, with where it comes from.
type Impact struct {
	Harm    Harm     `json:"harm"`
	Follows Follow   `json:"follows"`
	Because []string `json:"because"`          // a sentence for each source
	Local   bool     `json:"local,omitempty"`  // somebody needs an account or local access first
	By      string   `json:"by,omitempty"`     // a person who overrode the table
	Reason  string   `json:"reason,omitempty"` // why
}

// weaknesses says what a CWE means. Source of the classes: MITRE's CWE list, "common consequences" of each entry.
func weaknesses() map[string]Harm {
	table := map[string]Harm{}
	for harm, ids := range map[Harm]string{
		Memory: "89 125 126 127 200 201 203 208 209 226 244 316 319 385 402 497 524 525 532 538 552 598 908 909 1236 22 23 35 36 41 59 73 611 918",
		Execution: "77 78 88 94 95 96 98 114 119 120 121 122 123 124 129 131 134 190 191 194 195 242 415 416 426 427 434 470 494 502 506 507 509 " +
			"590 610 680 732 749 763 787 788 805 822 823 825 829 843 913 917 1321 364",
		Denial:    "369 400 401 404 405 407 409 476 617 674 770 772 775 789 834 835 1333 248 754 755 703 833",
		Access:    "79 250 255 259 264 266 267 268 269 276 280 284 285 287 288 290 294 295 296 297 302 303 304 305 306 307 384 521 522 613 639 640 862 863 1390 798 352",
		Integrity: "74 93 113 311 326 327 328 330 331 338 345 346 347 353 354 362 367 436 444 470 601 757 915 1284 310 320 693",
	} {
		for _, id := range strings.Fields(ids) {
			table["CWE-"+id] = harm
		}
	}
	// A script in a page acts for its reader, not on the server; a forged query reads the database.
	// A directory traversal or a forged request reads files and internal services rather than memory; what leaks is the same: whatever the process may read.
	return table
}

func (h Harm) rank() int {
	return slices.Index([]Harm{Unjudged, Denial, Integrity, Access, Memory, Execution}, h)
}

func (h Harm) follows() Follow {
	switch h {
	case Denial:
		return FollowNothing
	case Integrity:
		return FollowReview
	case Access:
		return FollowTokens
	case Memory:
		return FollowSecrets
	case Execution:
		return FollowRebuild
	}
	return FollowUnknown
}

// Says words a harm.
func (h Harm) Says() string {
	return map[Harm]string{
		Unjudged: "nothing says what it lets a stranger do", Denial: "processes can be stopped; nothing can be read or changed",
		Integrity: "data can be changed or forged", Access: "somebody can get in or pass for somebody else",
		Memory: "what the process may read can be read by strangers: keys, passwords, tokens, personal data", Execution: "strangers can run their own code with the process's rights",
	}[h]
}

// Says words what must follow.
func (f Follow) Says() string {
	return map[Follow]string{
		FollowNothing: "nothing beyond the patch", FollowSecrets: "new keys and certificates, new tokens and passwords, all sessions ended",
		FollowTokens: "new tokens, all sessions ended", FollowReview: "a check of what was written while the bug was there",
		FollowRebuild: "new keys, tokens, passwords and sessions, and the hosts rebuilt from scratch", FollowUnknown: "somebody has to decide: until then, plan for new secrets",
	}[f]
}

// Judge reads what a bug can do from its CVSS vector and its CWEs. Where they disagree the worse one counts, and both are shown.
func Judge(a *Advisory) Impact {
	i := Impact{Harm: Unjudged, Because: []string{}}
	if a == nil {
		i.Because = append(i.Because, "there is no advisory yet")
	} else {
		i.fromVector(a.CVSS)
		i.fromWeaknesses(a.CWE)
		if a.CVSS == "" && len(a.CWE) == 0 {
			i.Because = append(i.Because, "the advisory has neither a CVSS vector nor a CWE")
		}
	}
	i.Follows = i.Harm.follows()
	return i
}

func (i *Impact) worse(h Harm, why string) {
	i.Because = append(i.Because, why)
	if h.rank() > i.Harm.rank() {
		i.Harm = h
	}
}

// fromVector reads a CVSS 3 or 4 vector: what is disclosed, changed, stopped, and who can do it.
func (i *Impact) fromVector(vector string) {
	if vector == "" {
		return
	}
	m := map[string]string{}
	for _, part := range strings.Split(vector, "/") {
		if k, v, ok := strings.Cut(part, ":"); ok {
			m[k] = v
		}
	}
	get := func(three, four string) string {
		if v, ok := m[three]; ok {
			return v
		}
		return m[four]
	}
	c, in, av := get("C", "VC"), get("I", "VI"), get("A", "VA")
	i.Local = m["AV"] == "L" || m["AV"] == "P"
	switch {
	case c == "" || in == "" || av == "":
		i.Because = append(i.Because, fmt.Sprintf("the vector %.80q is not one that can be read", vector))
	case c == "H" && in == "H":
		i.worse(Execution, fmt.Sprintf("CVSS %s: everything can be read and changed", vector))
	case c != "N":
		i.worse(Memory, fmt.Sprintf("CVSS %s: something can be read (C:%s)", vector, c))
	case in != "N":
		i.worse(Integrity, fmt.Sprintf("CVSS %s: something can be changed (I:%s), nothing read", vector, in))
	case av != "N":
		i.worse(Denial, fmt.Sprintf("CVSS %s: only availability suffers (A:%s)", vector, av))
	}
}

func (i *Impact) fromWeaknesses(ids []string) {
	table := weaknesses()
	for _, id := range ids {
		harm, known := table[id]
		if !known {
			i.Because = append(i.Because, fmt.Sprintf("%s is a weakness whose consequence depends on the case", id))
			continue
		}
		i.worse(harm, fmt.Sprintf("%s: %s", id, harm.Says()))
	}
}
