// Package bounds is a host's own word on what any order may touch, and what none ever may.
package bounds

import (
	"bytes"
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"staunch/fault"
	"staunch/mandate"
	"staunch/reach/act"
	"staunch/reach/act/files"
)

// Policy is a host's own word on what any order may touch: /etc/staunch/policy.json, root-owned. A list that is absent bounds
// nothing; a list that is there, even empty, allows only what it names. The forbidden list holds whatever it says.
type Policy struct {
	Schema      int        `json:"schema"`                // 1
	ReadOnly    bool       `json:"read_only,omitempty"`   // no order at all
	Names       []string   `json:"names,omitempty"`       // what plans call this host; absent: its host name
	Quorum      int        `json:"quorum,omitempty"`      // signatures by distinct people; absent: 2, or 1 where only one person can sign
	Acts        []act.Kind `json:"acts,omitempty"`        // kinds of the closed list
	Directories []string   `json:"directories,omitempty"` // where files may be placed and libraries installed
	Units       []string   `json:"units,omitempty"`       // names, * and ? allowed
	Packages    []string   `json:"packages,omitempty"`    // names, * and ? allowed
	Hooks       []string   `json:"hooks,omitempty"`       // names
	Allow       []Word     `json:"allow,omitempty"`       // explicit words for delicate things
}

// UnmarshalJSON keeps an empty list apart from an absent one, which plain decoding does, and refuses unknown keys.
func (p *Policy) UnmarshalJSON(b []byte) error {
	type plain Policy
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	return dec.Decode((*plain)(p))
}

// maxPolicy bounds the file, in bytes.
const maxPolicy = 1 << 20

// ReadPolicy reads the host's policy; without a file the zero policy holds, which bounds nothing but allows nothing delicate.
// A policy that cannot be trusted or understood is an error: everything is refused then.
func (p Places) ReadPolicy() (Policy, error) {
	b, err := files.Trusted(p.Root, p.Policy, p.Owner, maxPolicy)
	if fault.Is(err, fault.NotFound) {
		return Policy{Schema: 1}, nil
	}
	if err != nil {
		return Policy{}, fault.New(fault.Denied, "the host's policy does not count: %v", err).Hinted("%s", fault.HintOf(err))
	}
	return ParsePolicy(b)
}

// ParsePolicy reads a policy strictly.
func ParsePolicy(b []byte) (Policy, error) {
	var p Policy
	if _, err := mandate.Canonical(json.RawMessage(b)); err != nil { // refuses keys that appear twice
		return p, fault.New(fault.Corrupt, "policy: %v", err)
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return p, fault.New(fault.Corrupt, "policy: %v", err).Hinted("see docs/policy.md for its keys")
	}
	return p, p.validate()
}

func (p Policy) validate() error {
	bad := func(format string, args ...any) error {
		return fault.New(fault.Corrupt, "policy: "+format, args...).Hinted("see docs/policy.md")
	}
	if p.Schema != 1 {
		return bad("schema is %d, this version reads 1", p.Schema)
	}
	if p.Quorum < 0 || p.Quorum > mandate.MaxSignatures {
		return bad("quorum %d: between 1 and %d", p.Quorum, mandate.MaxSignatures)
	}
	for _, k := range p.Acts {
		if !slices.Contains(act.Kinds(), k) {
			return bad("act %.40q is not on the closed list", k)
		}
	}
	for _, w := range p.Allow {
		if !slices.Contains(Words(), w) {
			return bad("allow: %.40q is none of %v", w, Words())
		}
	}
	for _, d := range p.Directories {
		if !path.IsAbs(d) || path.Clean(d) != d {
			return bad("directory %.80q: absolute and clean", d)
		}
	}
	for _, pattern := range slices.Concat(p.Units, p.Packages, p.Hooks) {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			return bad("pattern %.80q is not understood", pattern)
		}
	}
	return nil
}

// Kind refuses what the policy leaves out of the closed list. Delicate things are asked for one by one (see word).
func (p Policy) Kind(k act.Kind) error {
	if p.ReadOnly {
		return denied("this host is read-only by its policy")
	}
	if p.Acts != nil && !slices.Contains(p.Acts, k) {
		return denied("the host's policy does not allow %s", k)
	}
	return nil
}

func denied(format string, args ...any) *fault.Error {
	return fault.New(fault.Denied, format, args...)
}

// Unit refuses a unit that the policy does not name.
func (p Policy) Unit(name string) error {
	if !matches(p.Units, name) {
		return denied("the host's policy does not name unit %s", name)
	}
	return nil
}

// Package refuses a package that the policy does not name, or whose word it lacks.
func (p Policy) Package(name string) error {
	if !matches(p.Packages, name) {
		return denied("the host's policy does not name package %s", name)
	}
	return p.Word(WordOfPackage(name), "package "+name)
}

// Hook refuses a hook that the policy does not name.
func (p Policy) Hook(name string) error {
	if !matches(p.Hooks, name) {
		return denied("the host's policy does not name hook %s", name)
	}
	return nil
}

// matches: an absent list matches everything, an empty one nothing.
func matches(patterns []string, name string) bool {
	if patterns == nil {
		return true
	}
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, err := path.Match(pattern, name)
		return err == nil && ok
	})
}

// Word demands the policy's explicit word for a delicate thing.
func (p Policy) Word(w Word, what string) error {
	if w == "" || slices.Contains(p.Allow, w) {
		return nil
	}
	return denied("%s is delicate (%s): the host's policy must allow it", what, w).
		Hinted(`put "allow": ["%s"] into /etc/staunch/policy.json, or do it by hand`, w)
}

// directory tells whether a real path lies in the policy's bounds.
func (p Policy) directory(real string) error {
	if p.Directories == nil {
		return nil
	}
	for _, d := range p.Directories {
		bound, err := filepath.EvalSymlinks(d)
		if err == nil && files.Inside(real, bound) && real != bound {
			return nil
		}
	}
	return denied("%s lies outside of the directories that the host's policy names", real)
}

// Needs is how many distinct people must have signed.
func (p Policy) Needs(people int) int {
	if p.Quorum > 0 {
		return p.Quorum
	}
	return max(1, min(2, people))
}

// Called are those that orders may call this host.
func (p Policy) Called() []string {
	if len(p.Names) > 0 {
		return p.Names
	}
	name, err := os.Hostname()
	if err != nil {
		return nil
	}
	short, _, _ := strings.Cut(name, ".")
	return []string{name, short}
}
