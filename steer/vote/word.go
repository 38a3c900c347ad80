package vote

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"staunch/fault"
	"staunch/mandate"
	"staunch/steer/plan"

	"golang.org/x/crypto/ssh"
)

// WordKind is what a signed word is about.
type WordKind string

// The signed words that are not votes.
const (
	// BreakGlass lets a plan run with fewer votes than it asks for. It is announced to everybody, and somebody else must review it afterwards.
	BreakGlass WordKind = "break_glass"
	// Review closes a break-glass: another person looked at what was done.
	Review WordKind = "review"
	// Widen lets re-plans of one incident take in more hosts without new votes, within bounds.
	Widen WordKind = "widen"
	// StayVulnerable accepts that hosts stay, or become, vulnerable until a time.
	StayVulnerable WordKind = "stay_vulnerable"
)

// Word is one person's signed statement. Hosts do not take words for votes: a host that demands signatures counts signatures over the plan only.
type Word struct {
	Kind     WordKind  `json:"kind"`
	Incident string    `json:"incident"`
	Plan     string    `json:"plan,omitempty"`  // digest that it is about: break_glass, review
	Rings    []string  `json:"rings,omitempty"` // widen: which rings may grow
	Hosts    int       `json:"hosts,omitempty"` // widen: how many hosts may be added in all
	On       []string  `json:"on,omitempty"`    // stay_vulnerable: which hosts
	About    string    `json:"about,omitempty"` // stay_vulnerable: which advisory
	Reason   string    `json:"reason"`
	At       time.Time `json:"at"`
	Until    time.Time `json:"until,omitzero"` // when it no longer holds; break_glass and review have none
}

// Spoken is a word with its signature.
type Spoken struct {
	Word
	Signature string `json:"signature"`
}

// longest times that one signature may cover.
const (
	maxWiden = 7 * 24 * time.Hour
	maxStay  = 90 * 24 * time.Hour
)

// digest is what gets signed: never equal to a plan's digest, because a plan's is made with another prefix.
func (w Word) digest() (string, error) {
	w.At, w.Until = w.At.UTC().Truncate(time.Millisecond), w.Until.UTC().Truncate(time.Millisecond)
	text, err := mandate.Canonical(w)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(append([]byte("staunch-word-v1\x00"), text...))
	return hex.EncodeToString(sum[:]), nil
}

// proper says what a word lacks on its face.
func (w Word) proper() error {
	if w.Reason == "" || w.Incident == "" || w.At.IsZero() {
		return fault.New(fault.Usage, "a signed word needs an incident, a time and a reason")
	}
	switch w.Kind {
	case BreakGlass, Review:
		if w.Plan == "" {
			return fault.New(fault.Usage, "it does not say which plan it is about")
		}
	case Widen:
		if w.Hosts < 1 || len(w.Rings) == 0 || !w.Until.After(w.At) || w.Until.Sub(w.At) > maxWiden {
			return fault.New(fault.Usage, "a standing vote to widen names rings, a number of hosts, and an end within 7 days")
		}
	case StayVulnerable:
		if len(w.On) == 0 || w.About == "" || !w.Until.After(w.At) || w.Until.Sub(w.At) > maxStay {
			return fault.New(fault.Usage, "\"vulnerable until\" names hosts, an advisory, and an end within 90 days")
		}
	default:
		return fault.New(fault.Unsupported, "unknown signed word %q", string(w.Kind))
	}
	return nil
}

// Speak signs a word.
func Speak(signer ssh.Signer, w Word) (Spoken, error) {
	if err := w.proper(); err != nil {
		return Spoken{}, err
	}
	w.At, w.Until = w.At.UTC().Truncate(time.Millisecond), w.Until.UTC().Truncate(time.Millisecond)
	digest, err := w.digest()
	if err != nil {
		return Spoken{}, err
	}
	signature, err := mandate.Sign(signer, digest)
	return Spoken{w, signature}, err
}

// Check proves whose word it is, and that it holds at now.
func (s Spoken) Check(signers *mandate.Signers, now time.Time) (string, error) {
	if err := s.proper(); err != nil {
		return "", err
	}
	if !s.Until.IsZero() && !now.Before(s.Until) {
		return "", fault.New(fault.Denied, "it ended at %s", s.Until.Format(time.RFC3339))
	}
	digest, err := s.digest()
	if err != nil {
		return "", err
	}
	return signedBy(s.Signature, digest, s.At, signers)
}

// Broken is a break-glass that stands: who, why, and who reviewed it.
type Broken struct {
	By       string
	Reason   string
	At       time.Time
	Reviewed string // another person, or "" while the review is due
}

// Glass finds the valid break-glass words for a plan, with their reviews. Nobody reviews their own.
func Glass(sealed *plan.Sealed, words []Spoken, signers *mandate.Signers, now time.Time) []Broken {
	var out []Broken
	for _, s := range words {
		if s.Kind != BreakGlass || s.Plan != sealed.Digest {
			continue
		}
		by, err := s.Check(signers, now)
		if err != nil {
			continue // the tally shows it as void; it opens nothing
		}
		out = append(out, Broken{By: by, Reason: s.Reason, At: s.At, Reviewed: reviewer(s, by, words, signers, now)})
	}
	return out
}

func reviewer(glass Spoken, by string, words []Spoken, signers *mandate.Signers, now time.Time) string {
	for _, s := range words {
		if s.Kind != Review || s.Plan != glass.Plan || s.At.Before(glass.At) {
			continue
		}
		if who, err := s.Check(signers, now); err == nil && who != by {
			return who
		}
	}
	return ""
}

// Covered tells whether a standing vote lets a re-plan run with the votes of the plan before it, or why not.
func Covered(d plan.Diff, w Spoken, incident string, signers *mandate.Signers, now time.Time) error {
	if _, err := w.Check(signers, now); err != nil {
		return err
	}
	switch {
	case w.Kind != Widen || w.Incident != incident:
		return fault.New(fault.Denied, "there is no standing vote to widen incident %s", incident)
	case len(d.Beyond()) > 0:
		return fault.New(fault.Denied, "the new plan does more than take in hosts, so it needs new votes: %s", strings.Join(d.Beyond(), "; "))
	case len(d.NewHosts()) > w.Hosts:
		return fault.New(fault.Denied, "the new plan takes in %d hosts, the standing vote covers %d", len(d.NewHosts()), w.Hosts)
	}
	for _, ring := range d.NewRings() {
		if !slices.Contains(w.Rings, ring) {
			return fault.New(fault.Denied, "the new plan takes in hosts of ring %s, which the standing vote does not cover", ring)
		}
	}
	return nil
}
