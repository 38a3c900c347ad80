package rules

import "testing"

// Rules are data: each must be able to say anything at all, and names must be unique.
func TestEveryRuleCanSpeak(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range All() {
		if seen[r.Name] {
			t.Errorf("two rules for %s", r.Name)
		}
		seen[r.Name] = true
		if len(r.Versions)+len(r.Code)+len(r.Symbols)+len(r.Sonames) == 0 || r.Needs > len(r.Code) || len(r.Code) > 0 && r.Needs == 0 {
			t.Errorf("%s: %d of %d texts, %d symbols", r.Name, r.Needs, len(r.Code), len(r.Symbols))
		}
		for _, v := range r.Versions {
			if len(v.Key) < 8 {
				t.Errorf("%s: %q is shorter than the search's stride wants", r.Name, v.Key)
			}
		}
		for _, c := range r.Code {
			if len(c) < 8 {
				t.Errorf("%s: %q is shorter than the search's stride wants", r.Name, c)
			}
		}
	}
}
