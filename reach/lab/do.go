package lab

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"staunch/fault"
	"staunch/reach/act"
)

// do answers an order: from the journal where it was given before, else by carrying it out.
func (l *Lab) do(name string, o act.Order, w woes) (act.Outcome, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.machines[name]
	what := "do " + string(o.Act.Kind)
	if o.Undo {
		what = "undo " + string(o.Act.Kind)
	}
	if w.early {
		return act.Outcome{}, lost(name, what)
	}
	if known, repeated := m.journal[o.ID]; repeated && known.Status != act.Unknown {
		known.Repeat = true
		return known, nil
	}
	out := act.Outcome{Order: o.ID, Began: l.stamp(w)}
	if refusal := m.refuses(o, w); refusal != "" {
		out.Status, out.Says, out.Ended = act.Refused, refusal, l.stamp(w)
		return out, nil
	}
	l.carryOut(m, o, w, &out)
	out.Ended = l.stamp(w)
	if w.mid {
		out.Status, out.Says = act.Unknown, "begun, the end was not seen"
	}
	m.journal[o.ID] = out
	l.happened(m, what, o.ID)
	if w.mid || w.late {
		return act.Outcome{}, lost(name, "do")
	}
	return out, nil
}

func (m *machine) refuses(o act.Order, w woes) string {
	switch {
	case o.ID == "":
		return "the order has no id"
	case w.denies != "":
		return w.denies
	case m.Readonly:
		return "the host's policy is read-only"
	}
	return ""
}

// carryOut changes the machine and judges the result by what it then is.
func (l *Lab) carryOut(m *machine, o act.Order, w woes, out *act.Outcome) {
	before := m.snapshot()
	out.Before = m.record()
	if _, again := m.before[o.ID]; !again {
		m.before[o.ID] = before
	}
	status, says := act.Done, "done"
	var err error
	switch {
	case w.lies:
	case w.fails != "":
		err = fault.New(fault.Conflict, "%s", w.fails)
	case o.Undo:
		status, says, err = l.undo(m, o)
	case o.Confirm:
		says = "kept"
	default:
		status, says, err = l.perform(m, o.Act, w.mid)
	}
	out.After = m.record()
	out.Status, out.Says = status, says
	if err != nil {
		out.Status, out.Says = act.Failed, err.Error()
		if fault.Is(err, fault.Denied) || fault.Is(err, fault.Usage) || fault.Is(err, fault.NotFound) || fault.Is(err, fault.Unsupported) {
			out.Status = act.Refused
		}
	}
	out.CanUndo = out.Status == act.Done && !o.Undo && undoable(o.Act.Kind)
}

func undoable(k act.Kind) bool {
	return !slices.Contains([]act.Kind{act.Restart, act.Reload, act.Reboot, act.Signal, act.Hook}, k)
}

// record is the state that Before and After hold.
func (m *machine) record() json.RawMessage {
	running := map[string]bool{}
	for _, u := range m.Units {
		running[u.Name] = m.runs(u.Name)
	}
	b, err := json.Marshal(map[string]any{"versions": m.Versions, "running": running})
	if err != nil {
		return nil
	}
	return b
}

// undo goes back to what was before order Of; processes start again from the old files only where the units ran.
func (l *Lab) undo(m *machine, o act.Order) (act.Status, string, error) {
	of, known := m.before[o.Of]
	if !known {
		return act.Refused, "", fault.New(fault.NotFound, "the journal has no order %q", o.Of)
	}
	m.Versions, m.Files = maps.Clone(of.versions), maps.Clone(of.files)
	m.masked, m.drained = maps.Clone(of.masked), maps.Clone(of.drained)
	for _, u := range m.Units {
		switch runs := m.runs(u.Name); {
		case runs && !of.running[u.Name]:
			m.end(func(p process) bool { return p.unit == u.Name })
		case !runs && of.running[u.Name]:
			l.start(m, u, l.now())
		}
	}
	return act.Undone, "put back", nil
}

// perform does the act itself. Half does only the first half of what it names, as an interrupted one would have.
func (l *Lab) perform(m *machine, a act.Act, half bool) (act.Status, string, error) {
	params, err := a.Params()
	if err != nil {
		return act.Refused, "", err
	}
	switch with := params.(type) {
	case *act.UpgradeWith:
		return l.upgrade(m, with, half)
	case *act.UnitsWith:
		return l.units(m, a.Kind, with, half)
	case *act.HookWith:
		return m.hook(with.Name)
	case *act.DrainWith:
		m.drained[with.Service] = a.Kind == act.Drain
		return m.hook(with.Hook)
	case *act.RebootWith:
		return l.reboot(m, with)
	case *act.SignalWith:
		return m.signal(with)
	case *act.PlaceWith:
		return l.place(m, with)
	case *act.InstallLibWith:
		return l.installLib(m, with)
	}
	return act.Refused, "", fault.New(fault.Unsupported, "pretend machines cannot %s", strings.ReplaceAll(string(a.Kind), "_", " "))
}

func (m *machine) hook(name string) (act.Status, string, error) {
	if !slices.Contains(m.Hooks, name) {
		return act.Refused, "", fault.New(fault.NotFound, "there is no hook %s on %s", name, m.Name)
	}
	return act.Done, "hook " + name + " ended with 0", nil
}

func (l *Lab) reboot(m *machine, with *act.RebootWith) (act.Status, string, error) {
	if with.BootID != m.bootID() {
		return act.Already, "that boot has already ended", nil
	}
	m.boot++
	m.end(func(process) bool { return true })
	for _, u := range m.Units {
		if !u.Stopped && !m.masked[u.Name] {
			l.start(m, u, l.now())
		}
	}
	return act.Done, "booted again", nil
}

func (m *machine) signal(with *act.SignalWith) (act.Status, string, error) {
	is := func(p process) bool { return p.pid == with.PID && p.start.Equal(with.Start.UTC().Truncate(1e9)) }
	if !slices.ContainsFunc(m.processes, is) {
		return act.Already, "the process is gone", nil
	}
	if slices.Contains([]string{"TERM", "KILL", "INT", "QUIT"}, with.Signal) {
		m.end(is)
	} else if with.Gone {
		return act.Failed, "", fault.New(fault.Timeout, "the process still runs")
	}
	return act.Done, "signal " + with.Signal + " sent", nil
}
