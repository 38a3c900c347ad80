package verdict

import (
	"testing"

	"staunch/see/scan"
	"staunch/see/scan/elf"
	"staunch/see/scan/owner"

	"pgregory.net/rapid"
)

// sight is any combination of what a scan can have seen of one OpenSSL.
type sight struct {
	object scan.Object
	mapped scan.Mapped
}

func anySight(t *rapid.T) sight {
	tri := rapid.SampledFrom([]string{"", "yes", "no", "unknown"})
	o := libssl(rapid.SampledFrom([]string{"", "1.0.1e", "1.0.1g", "1.0.0m", "3.0.17", "odd"}).Draw(t, "version"), nil)
	for _, anchor := range []string{"present", "fixed", "flag"} {
		if says := tri.Draw(t, anchor); says != "" {
			o.Answers = append(o.Answers, answers(anchor+"="+says)...)
		}
	}
	if rapid.Bool().Draw(t, "static") {
		o.Soname, o.Components[0].Linkage = "", elf.Static
	}
	if rapid.Bool().Draw(t, "packaged") {
		o.Package = &owner.Package{
			Type: "deb", Name: "libssl", Version: rapid.SampledFrom([]string{"1.0.1e-2+deb7u4", "1.0.1e-2+deb7u5", "odd version"}).Draw(t, "package"), Source: "openssl",
			Distro: rapid.SampledFrom([]string{"debian", "mint", ""}).Draw(t, "distro"), Release: "7", Intact: rapid.SampledFrom([]string{"yes", "no", "unknown"}).Draw(t, "intact"),
		}
	}
	return sight{o, scan.Mapped{
		Path:  rapid.SampledFrom([]string{"/usr/lib/libssl.so", "/opt/x/libssl.so"}).Draw(t, "path"),
		State: rapid.SampledFrom([]scan.State{scan.Same, scan.Deleted, scan.Replaced, scan.Overwritten}).Draw(t, "state"),
	}}
}

func (s sight) judge(t *rapid.T, tb testing.TB, probes ...Probe) Finding {
	doc := Judge(machine(s.object, s.mapped), builtin(tb), Options{Advisory: bleed, Probes: probes})
	if len(doc.Findings) != 1 {
		t.Fatalf("%d findings", len(doc.Findings))
	}
	return doc.Findings[0]
}

// Whatever was seen: a verdict is one of the states, says why and what to do; probes only ever make it worse; what was overwritten is unknown;
// "not affected" needs a justification and evidence that votes for it.
func TestVerdictsKeepTheirPromises(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := anySight(r)
		f := s.judge(r, t)
		switch f.State {
		case Affected, Fixed:
		case Unknown:
			if f.Evidence[0].Kind != "unknown" {
				r.Fatalf("unknown without a reason: %+v", f.Evidence)
			}
		case NotAffected:
			if f.Justification == "" {
				r.Fatalf("not affected without a justification")
			}
		default:
			r.Fatalf("state %q", f.State)
		}
		if len(f.Evidence) == 0 || f.Fix.What == "" || (f.Fix.Kind == FixNone) != good(f.State) {
			r.Fatalf("%s with fix %+v and %d evidences", f.State, f.Fix, len(f.Evidence))
		}
		if s.mapped.State == scan.Overwritten && f.State != Unknown {
			r.Fatalf("overwritten and %s", f.State)
		}
		if silent := s.judge(r, t, Probe{bleed, 42, false, "nothing came"}); silent.State != f.State || silent.Justification != f.Justification {
			r.Fatalf("a negative probe turned %s into %s", f.State, silent.State)
		}
		if loud := s.judge(r, t, Probe{bleed, 42, true, "foreign bytes"}); loud.State != Affected || loud.Fix.Kind == FixNone {
			r.Fatalf("a positive probe left it %s, fix %+v", loud.State, loud.Fix)
		}
	})
}
