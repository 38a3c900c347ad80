package verdict

import (
	"strings"

	"staunch/see/advisory"
	"staunch/see/scan/elf"
)

// otherPart clears a library of the component that the affected code is never in: libcrypto, for a bug in libssl.
func otherPart(s *subject, rule *advisory.Rule) (clue, bool) {
	if rule == nil || len(rule.Sonames) == 0 || s.object == nil || s.component.Linkage != elf.Dynamic || s.object.Soname == "" {
		return clue{}, false
	}
	for _, prefix := range rule.Sonames {
		if strings.HasPrefix(s.object.Soname, prefix) {
			return clue{}, false
		}
	}
	return clue{rank: rankName, vote: NotAffected, justification: CodeNotPresent, evidence: elf.Evidence{
		Kind: "name", Says: "the affected code lives in " + strings.TrimSuffix(rule.Sonames[0], ".") + ", and this object is " + s.object.Soname, Detail: s.path,
	}}, true
}

// codeClues reads what the object's own code answered to the rule's anchors.
func codeClues(s *subject, rule *advisory.Rule) []clue {
	if rule == nil || len(rule.Presence) == 0 {
		return nil
	}
	present, how := answerTo(s.answers, rule.Presence)
	c := clue{rank: rankOf(how.Kind), evidence: elf.Evidence{Kind: kindOf(how.Kind), Detail: how.Detail}}
	switch present {
	case elf.Yes:
		return codePresent(s, rule, c)
	case elf.No:
		c.vote, c.justification = NotAffected, CodeNotPresent
		c.evidence.Says = "the affected code is not in this object"
	case elf.Unknown:
		c.evidence.Says = "whether the affected code is in this object could not be told from its code"
	default:
		c.evidence.Kind, c.evidence.Says = "code", "this object has not been asked for the affected code yet: unknown, not yet looked for"
	}
	return []clue{c}
}

func codePresent(s *subject, rule *advisory.Rule, c clue) []clue {
	if rule.PresenceProves {
		c.vote, c.evidence.Says = Affected, "the planted code itself is in this object"
		return []clue{c}
	}
	c.evidence.Says = "the affected code is in this object"
	fixed, how := answerTo(s.answers, rule.Fix)
	second := clue{rank: rankCode, evidence: elf.Evidence{Kind: kindOf(how.Kind), Detail: how.Detail}}
	switch {
	case len(rule.Fix) == 0:
		return []clue{c}
	case fixed == elf.Yes:
		second.vote, second.evidence.Says = Fixed, "the check that the fix added is in that code, whatever the version says"
	case fixed == elf.No:
		second.vote, second.evidence.Says = Affected, "the check that the fix added is missing in that code"
	default:
		second.evidence.Says = "whether that code carries the fix could not be told"
	}
	return []clue{c, second}
}

// flagClues reads build flags that take the code out. OpenSSL's stand in libcrypto, also for its libssl.
func flagClues(s *subject, rule *advisory.Rule) []clue {
	if rule == nil || len(rule.Flags) == 0 {
		return nil
	}
	said, how := answerTo(s.answers, rule.Flags)
	if said != elf.Yes && s.sibling != nil {
		said, how = answerTo(s.sibling.Answers, rule.Flags)
	}
	if said != elf.Yes {
		return nil
	}
	return []clue{{rank: rankFlag, vote: NotAffected, justification: CodeNotPresent, evidence: elf.Evidence{
		Kind: "build_flag", Says: "built with a flag that leaves the affected code out", Detail: how.Detail,
	}}}
}

// buildClues recognises builds by content; a build-id alone can be worn by anything and is shown without a vote.
func buildClues(s *subject, rule *advisory.Rule) []clue {
	if rule == nil || s.object == nil {
		return nil
	}
	var list []clue
	for _, b := range rule.Builds {
		same := b.ObjectID != "" && b.ObjectID == s.object.ID || b.SHA256 != "" && b.SHA256 == s.object.SHA256
		worn := b.BuildID != "" && b.BuildID == s.object.BuildID
		if !same && !worn {
			continue
		}
		c := clue{rank: rankBuild, evidence: elf.Evidence{Kind: "build_id", Says: b.Says, Detail: s.object.ID}}
		switch {
		case same && b.Affected:
			c.vote = Affected
		case same:
			c.vote = Fixed
		}
		list = append(list, c)
	}
	return list
}

// answerTo joins the answers to several anchors: one yes is yes, only noes are no, nothing asked is "".
func answerTo(answers []elf.Answer, anchors []elf.Anchor) (elf.Tri, elf.Answer) {
	joined, how := elf.Tri(""), elf.Answer{}
	for _, anchor := range anchors {
		for _, a := range answers {
			if a.Anchor != anchor.ID {
				continue
			}
			switch {
			case a.Says == elf.Yes:
				return elf.Yes, a
			case joined == "" || a.Says == elf.Unknown:
				joined, how = a.Says, a
			}
		}
	}
	return joined, how
}

func rankOf(kind string) int {
	if kind == "build_flag" {
		return rankFlag
	}
	return rankCode
}

func kindOf(kind string) string {
	if kind == "" {
		return "code"
	}
	return kind
}
