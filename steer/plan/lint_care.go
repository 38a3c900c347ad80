package plan

import (
	"slices"
	"strings"

	"staunch/reach/act"
)

func downLimit(v *view) (out []Problem) {
	for _, s := range v.Services {
		known, is := v.world.Services[s.Name]
		switch {
		case s.MaxDown < 1:
			out = append(out, Problem{Says: "service " + s.Name + " allows nothing to be down, so nothing can be done to it"})
		case is && s.MaxDown > known.MaxDown:
			out = append(out, bad("", "the plan lets %d hosts of %s be down at once, the service allows %d", s.MaxDown, s.Name, known.MaxDown))
		}
	}
	for i := range v.Steps {
		s := &v.Steps[i]
		for _, name := range s.Harm.Down {
			if v.Service(name) == nil {
				out = append(out, bad(s.ID, "takes down service %q without a limit in the plan", name))
			}
		}
		out = append(out, v.unsaidHarm(s)...)
	}
	return out
}

// unsaidHarm finds services whose unit the step stops or restarts without saying that they are down meanwhile.
// A switch-off takes its service down for good and on purpose: it is limited by its votes, not by the service.
func (v *view) unsaidHarm(s *Step) (out []Problem) {
	if s.Act == nil || s.Act.Kind != act.Restart && s.Act.Kind != act.Reboot {
		return nil
	}
	for name, service := range v.world.Services {
		if slices.Contains(s.Harm.Down, name) {
			continue
		}
		runs := make(map[string]bool, len(service.Hosts))
		for _, host := range service.Hosts {
			runs[host] = true
		}
		for _, t := range s.Targets {
			hits := runs[t.Host] && (s.Act.Kind == act.Reboot || touches(t.Unit, service.Units))
			if hits {
				out = append(out, bad(s.ID, "does not say that %s is down on %s meanwhile", name, t.Host))
				break
			}
		}
	}
	slices.SortFunc(out, func(a, b Problem) int { return strings.Compare(a.Says, b.Says) })
	return out
}

// touches tells whether a target's units (one, or several with spaces) are among a service's.
func touches(units string, of []string) bool {
	for _, unit := range strings.Fields(units) {
		if slices.Contains(of, unit) {
			return true
		}
	}
	return false
}

func noWayBack(v *view) (out []Problem) {
	if len(v.Advisories) == 0 {
		return nil
	}
	for i := range v.Steps {
		s := &v.Steps[i]
		if s.Undo.Kind != Reverse && s.Undo.Kind != RunAct {
			continue
		}
		brings := installs(s) && s.Undo.Kind == Reverse || s.Undo.Act != nil && installsAct(s.Undo.Act.Kind)
		if brings && len(s.Undo.Restores) == 0 && !v.waived(s) {
			out = append(out, bad(s.ID, "its undo installs something, but does not say which version"))
		}
		for _, version := range s.Undo.Restores {
			affected, known := v.judge(version)
			switch {
			case v.waived(s):
			case affected:
				out = append(out, bad(s.ID, "its undo brings back %s %s, which is affected", version.Name, version.Version))
			case !known:
				out = append(out, bad(s.ID, "its undo brings back %s %s, and nobody knows whether that is affected", version.Name, version.Version))
			}
		}
	}
	return out
}

func (v *view) judge(version Version) (affected, known bool) {
	if v.world.Affected == nil {
		return false, false
	}
	return v.world.Affected(version)
}

func installs(s *Step) bool { return s.Act != nil && installsAct(s.Act.Kind) }

func installsAct(k act.Kind) bool { return k == act.Upgrade || k == act.InstallLib || k == act.Place }

// waived tells whether people accept that an undo makes every host of the step vulnerable again for a while.
func (v *view) waived(s *Step) bool {
	for _, t := range s.Targets {
		for _, advisory := range v.Advisories {
			ok := slices.ContainsFunc(v.Waivers, func(w Waiver) bool {
				return w.Host == t.Host && w.Advisory == advisory && (w.Step == "" || w.Step == s.ID) && w.Until.After(v.world.Now) && w.Reason != ""
			})
			if !ok {
				return false
			}
		}
	}
	return true
}

func undoSaid(v *view) (out []Problem) {
	for _, s := range v.Steps {
		if s.Changes() && (s.Undo.Kind == "" || s.Undo.Says == "") {
			out = append(out, bad(s.ID, "does not say how it is undone; say \"none\" and why where there is no way back"))
		}
		if s.Undo.Kind == RunAct && s.Undo.Act == nil {
			out = append(out, bad(s.ID, "is undone by an act that it does not name"))
		}
	}
	return out
}

func turns(v *view) (out []Problem) {
	first := map[string]int{}
	for i, s := range v.Steps {
		if s.Turn == "" {
			continue
		}
		f, seen := first[s.Turn]
		if !seen {
			first[s.Turn] = i
			continue
		}
		if v.Steps[f].Ring != s.Ring || !slices.Equal(v.Steps[f].Harm.Down, s.Harm.Down) {
			out = append(out, bad(s.ID, "is in turn %s with %s, but in another ring or with other services down", s.Turn, v.Steps[f].ID))
		}
	}
	return out
}

// wayUp: a host that an undo drained stays drained for ever if nothing in its turn brings it back when people say "again".
func wayUp(v *view) (out []Problem) {
	for _, s := range v.Steps {
		if s.Undo.Act == nil || s.Undo.Act.Kind != act.Drain {
			continue
		}
		back := slices.ContainsFunc(v.Steps, func(other Step) bool {
			return other.Turn == s.Turn && s.Turn != "" && other.Act != nil && other.Act.Kind == act.Undrain
		})
		if !back {
			out = append(out, bad(s.ID, "is undone by a drain, but nothing in its turn puts the host back"))
		}
	}
	return out
}
