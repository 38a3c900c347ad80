package steps

import (
	"context"
	"net"
	"strings"
	"time"

	"staunch/reach/act"
	"staunch/reach/fleet"
	"staunch/reach/host"
	"staunch/see/scan"
	"staunch/see/verdict"
	"staunch/steer/plan"
	"staunch/steer/run"
)

// Observe looks at one fact, afresh.
func (x *Executor) Observe(ctx context.Context, p plan.Predicate, w run.Work) run.Seen {
	if f := x.Facts[p.Kind]; f != nil {
		return f(ctx, p, w)
	}
	if p.Host == "" {
		return unsure("nobody here can look at %s", p)
	}
	where, err := x.find(p.Host)
	if err != nil {
		return silence(err)
	}
	switch p.Kind {
	case plan.Clean:
		return x.clean(ctx, where, p)
	case plan.Reachable:
		_, seen := x.health(ctx, where, host.HealthQuestion{})
		return seen
	case plan.Healthy:
		return x.healthy(ctx, where, p.Service)
	case plan.Replicated:
		return x.follows(ctx, where, p.Service)
	case plan.Running:
		return x.running(ctx, where, p.Unit)
	case plan.Stopped, plan.UnitMapsNew, plan.OldWorkersGone, plan.Booted:
		return x.processes(ctx, where, p, w)
	case plan.Installed, plan.ObjectOnDisk, plan.Drained, plan.Undrained:
		return x.already(ctx, p, w)
	}
	return unsure("nobody here can look at %s", p)
}

// clean looks at the whole host, keeps what it tells, and judges it.
func (x *Executor) clean(ctx context.Context, where fleet.Host, p plan.Predicate) run.Seen {
	if _, err := x.Hub.ScanHost(ctx, where); err != nil {
		return silence(err)
	}
	if _, known := x.Hub.Catalogue.Find(p.Advisory); !known {
		return unsure("the catalogue does not know %s any more", p.Advisory)
	}
	doc, err := x.Hub.Inventory.Document(where.Name, x.Hub.Catalogue, x.Hub.Fleet.Outside(), p.Advisory)
	if err != nil {
		return silence(err)
	}
	if x.Incident != "" {
		if _, err := x.Hub.Judge(ctx, x.Incident); err != nil {
			return unsure("the look could not be recorded: %v", err)
		}
	}
	return cleanIn(&doc, p)
}

func cleanIn(doc *verdict.Document, p plan.Predicate) run.Seen {
	var doubt string
	for _, f := range doc.Findings {
		if p.Unit != "" && f.Unit != p.Unit {
			continue
		}
		if f.Bad() {
			return no("%s (process %d of %s) runs %s %s: %s", f.Process, f.PID, f.Unit, f.Component, f.Version, f.State)
		}
		if f.State == verdict.Unknown && doubt == "" {
			doubt = f.Process + " cannot be judged"
		}
	}
	switch {
	case doubt != "":
		return unsure("%s", doubt)
	case len(doc.Unseen) > 0:
		return unsure("%d processes could not be looked at (%s)", len(doc.Unseen), doc.Unseen[0].Reason)
	}
	return yes("%d of %d processes on %s seen, none affected by %s", doc.Coverage.ProcessesSeen, doc.Coverage.ProcessesKnown, doc.Host, p.Advisory)
}

func (x *Executor) health(ctx context.Context, where fleet.Host, q host.HealthQuestion) (*host.Health, run.Seen) {
	a, err := x.Hub.Ask(ctx, where, host.Question{Health: &q})
	if err != nil {
		return nil, silence(err)
	}
	if a.Health == nil {
		return nil, unsure("%s answered something else", where.Name)
	}
	return a.Health, yes("%s answers", where.Name)
}

// healthy asks what the fleet's description says a service must answer.
func (x *Executor) healthy(ctx context.Context, where fleet.Host, name string) run.Seen {
	s, err := x.Hub.Fleet.Service(name)
	if err != nil {
		return silence(err)
	}
	check := s.Health
	if check == nil {
		return unsure("no health check is set for %s", name)
	}
	var q host.HealthQuestion
	fill := strings.NewReplacer("{host}", address(where))
	switch {
	case check.Unit != "":
		return x.running(ctx, where, check.Unit)
	case check.TCP != "":
		q.Tries = []host.Try{{TCP: fill.Replace(check.TCP), WithinMS: check.Within.Milliseconds()}}
	case check.URL != "":
		q.Tries = []host.Try{{URL: fill.Replace(check.URL), Status: check.Status, WithinMS: check.Within.Milliseconds()}}
	default:
		return x.hookSays(ctx, where, check.Hook, name, "is well")
	}
	h, seen := x.health(ctx, where, q)
	if h == nil {
		return seen
	}
	if len(h.Tries) != 1 {
		return unsure("%s did not try", where.Name)
	}
	if !h.Tries[0].OK {
		return no("%s on %s is not well: %s", name, where.Name, h.Tries[0].Says)
	}
	return yes("%s on %s is well: %s", name, where.Name, h.Tries[0].Says)
}

// address is what {host} in a health check stands for: the host asks itself, under the address that others use.
func address(where fleet.Host) string {
	if net.ParseIP(where.Dial()) != nil && strings.Contains(where.Dial(), ":") {
		return "[" + where.Dial() + "]"
	}
	return where.Dial()
}

// follows asks a replica's host whether it follows its primary: only the hook that the fleet's description names knows how to tell.
func (x *Executor) follows(ctx context.Context, where fleet.Host, name string) run.Seen {
	s, err := x.Hub.Fleet.Service(name)
	if err != nil {
		return silence(err)
	}
	if s.Follows == "" {
		return unsure("whether %s on %s follows its primary is not known: name a hook that tells (follows: in staunch.yaml), or look and skip this step with a reason", name, where.Name)
	}
	return x.hookSays(ctx, where, s.Follows, name, "follows its primary")
}

// hookSays runs a hook that tells how a service is: an order like any other, so that the host's policy decides whether it may run.
func (x *Executor) hookSays(ctx context.Context, where fleet.Host, hook, service, what string) run.Seen {
	a, err := act.New(act.Hook, &act.HookWith{Name: hook})
	if err != nil {
		return unsure("%v", err)
	}
	at, err := x.Hub.Open(ctx, where)
	if err != nil {
		return silence(err)
	}
	defer at.Close() // the answer is here
	id := "look/" + hook + "/" + service + "/" + where.Name + "/" + x.Hub.Now().UTC().Format("20060102T150405.000000000")
	out, err := at.Do(ctx, act.Order{ID: id, Host: where.Name, Step: "look", Act: a}, nil)
	switch {
	case err != nil:
		return silence(err)
	case out.Status == act.Done || out.Status == act.Already:
		return yes("the hook %s says that %s on %s %s", hook, service, where.Name, what)
	case out.Status == act.Failed:
		return no("the hook %s does not say that %s on %s %s: %s", hook, service, where.Name, what, out.Says)
	}
	return unsure("the hook %s: %s", hook, out.Says)
}

func (x *Executor) running(ctx context.Context, where fleet.Host, unit string) run.Seen {
	h, seen := x.health(ctx, where, host.HealthQuestion{Units: []string{unit}})
	if h == nil {
		return seen
	}
	for _, u := range h.Units {
		if u.Name == unit && u.Active == "active" {
			return yes("%s is active (%s) on %s", unit, u.Sub, where.Name)
		}
		if u.Name == unit {
			return no("%s is %s (%s) on %s", unit, u.Active, u.Sub, where.Name)
		}
	}
	return unsure("%s does not tell of %s", where.Name, unit)
}

// processes looks at the host's processes without judging them.
func (x *Executor) processes(ctx context.Context, where fleet.Host, p plan.Predicate, w run.Work) run.Seen {
	began := w.Began
	if p.Kind == plan.OldWorkersGone {
		h, seen := x.health(ctx, where, host.HealthQuestion{})
		if h == nil {
			return seen
		}
		// The host's clock tells when its processes started; ours tells when the step began.
		began = began.Add(time.UnixMilli(h.ClockMS).Sub(x.Hub.Now()))
	}
	r, err := x.Hub.Look(ctx, where)
	if err != nil {
		return silence(err)
	}
	if p.Kind == plan.Booted {
		return booted(r, w)
	}
	return unitFact(r, p, began)
}

func unitFact(r *scan.Report, p plan.Predicate, began time.Time) run.Seen {
	n := 0
	for i := range r.Processes {
		proc := &r.Processes[i]
		if proc.Unit != p.Unit {
			continue
		}
		n++
		switch {
		case p.Kind == plan.Stopped:
			return no("%s still has process %d on %s", p.Unit, proc.PID, r.Host)
		case p.Kind == plan.UnitMapsNew && maps(proc, p.Object):
			return no("process %d of %s still maps the old object", proc.PID, p.Unit)
		case p.Kind == plan.OldWorkersGone && proc.Start.Before(began.Add(-2*time.Second)):
			return no("process %d of %s is older than this step", proc.PID, p.Unit)
		}
	}
	if len(r.Unseen) > 0 {
		return unsure("%d processes could not be looked at", len(r.Unseen))
	}
	if p.Kind != plan.Stopped && n == 0 {
		return no("%s has no process", p.Unit)
	}
	if p.Kind == plan.Stopped {
		for _, d := range r.Dormant {
			if d.Unit == p.Unit {
				return no("%s does not run, but can start by itself: mask it", p.Unit)
			}
		}
		return yes("%s has no process on %s", p.Unit, r.Host)
	}
	if n == 1 {
		return yes("the one process of %s is new", p.Unit)
	}
	return yes("all %d processes of %s are new", n, p.Unit)
}

func maps(p *scan.Process, object string) bool {
	for i := range p.Objects {
		if p.Objects[i].ID == object {
			return true
		}
	}
	return false
}

func booted(r *scan.Report, w run.Work) run.Seen {
	if w.Step.Act == nil {
		return unsure("which boot should have ended is not known")
	}
	params, err := w.Step.Act.Params()
	with, ok := params.(*act.RebootWith)
	switch {
	case err != nil || !ok || r.Machine.BootID == "":
		return unsure("which boot should have ended is not known")
	case r.Machine.BootID == with.BootID:
		return no("%s has not booted anew", r.Host)
	}
	return yes("%s booted anew", r.Host)
}

// already asks the host whether anything is left to do of the act that brings the fact about.
func (x *Executor) already(ctx context.Context, p plan.Predicate, w run.Work) run.Seen {
	a := w.Step.Act
	if p.Kind == plan.Installed {
		upgrade, err := act.New(act.Upgrade, &act.UpgradeWith{Packages: []act.Package{{Name: p.Package, Version: p.Version}}})
		if err != nil {
			return unsure("%v", err)
		}
		a = &upgrade
	}
	if a == nil {
		return unsure("nobody here can look at %s", p)
	}
	drains := p.Kind == plan.Drained && a.Kind == act.Drain || p.Kind == plan.Undrained && a.Kind == act.Undrain
	if drains && !w.Began.IsZero() {
		return yes("the hook that does it ended well") // proofs are looked at only after the act was answered as done
	}
	preview, seen := x.check(ctx, p.Host, act.Order{ID: "look/" + w.ID, Host: p.Host, Step: w.Step.ID, Act: *a})
	switch {
	case seen.Truth != run.Yes:
		return seen
	case preview.Already:
		return yes("%s", p)
	case preview.Refused != "":
		return unsure("%s", preview.Refused)
	}
	return no("not %s", p)
}
