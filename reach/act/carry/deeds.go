package carry

import (
	"context"
	"time"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/act/bench"
	"staunch/reach/act/bundle"
	"staunch/reach/act/deed"
	"staunch/reach/act/hooks"
	"staunch/reach/act/units"
)

// deedOf returns the deed of an act: one for each kind of the closed list.
func deedOf(a act.Act) (bench.Deed, error) {
	params, err := a.Params()
	if err != nil {
		return nil, err
	}
	switch with := params.(type) {
	case *act.UpgradeWith:
		return deed.Upgrade{With: with}, nil
	case *act.UnitsWith:
		return units.Units{Kind: a.Kind, With: with}, nil
	case *act.HookWith:
		return hooks.Hook{Name: with.Name, Params: with.Params}, nil
	case *act.DrainWith:
		return hooks.Drain{Kind: a.Kind, With: with}, nil
	case *act.PlaceWith:
		return bundle.Place{With: with}, nil
	case *act.RebootWith:
		return deed.Reboot{With: with}, nil
	case *act.SignalWith:
		return deed.Signal{With: with}, nil
	case *act.InstallLibWith:
		return bundle.Library{With: with}, nil
	case *act.MakeKeyWith:
		return deed.MakeKey{With: with}, nil
	case *act.RevokeOwnWith:
		return deed.RevokeOwn{With: with}, nil
	case *act.BarKeyWith:
		return deed.BarKey{With: with}, nil
	case *act.UnsealWith:
		return deed.Unseal{With: with}, nil
	}
	return nil, fault.New(fault.Unsupported, "act %s cannot be done by this version", a.Kind)
}

// saferDeed tells whether an act only takes exposure away: what root on the machine itself may do without anybody's vote
// (docs/decisions/local-root.md).
func saferDeed(d bench.Deed) bool {
	switch does := d.(type) {
	case units.Units:
		return does.Kind == act.Stop || does.Kind == act.Mask || does.Kind == act.Restart
	case hooks.Drain:
		return does.Kind == act.Drain
	case deed.Upgrade:
		return !does.With.Downgrade
	case deed.Signal:
		switch does.With.Signal {
		case "TERM", "KILL", "INT", "QUIT", "STOP":
			return true
		}
	}
	return false
}

// confirmWithin tells how long an act waits for its confirmation before it undoes itself; 0: it does not.
func confirmWithin(d bench.Deed) time.Duration {
	switch does := d.(type) {
	case units.Units:
		return time.Duration(does.With.ConfirmMS) * time.Millisecond
	case bundle.Place:
		return time.Duration(does.With.ConfirmMS) * time.Millisecond
	}
	return 0
}

// tailOf gives the last lines that the units of a deed wrote, for an outcome that is not good.
func tailOf(ctx context.Context, d bench.Deed, b *bench.Bench) []string {
	if u, ok := d.(units.Units); ok {
		return u.Tail(ctx, b)
	}
	return nil
}
