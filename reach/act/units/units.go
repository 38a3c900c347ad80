// Package units restarts, reloads, stops, starts, masks and unmasks systemd units, and proves what became of their processes.
package units

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"staunch/fault"
	"staunch/reach/act"
	"staunch/reach/act/bench"
	"staunch/reach/act/bounds"
	"staunch/reach/act/systemd"
	"staunch/see/scan"
	"staunch/tame"
)

// Units are restart, reload, stop, start, mask and unmask.
type Units struct {
	Kind act.Kind
	With *act.UnitsWith
}

// unitsSeen is the record before and after: each unit's state, and what its processes map that is not on disk any more.
type unitsSeen struct {
	Units []systemd.State `json:"units"`
	Stale []systemd.Stale `json:"stale,omitempty"`
}

func (u Units) look(ctx context.Context, b *bench.Bench) (unitsSeen, error) {
	m, err := b.Units(ctx)
	if err != nil {
		return unitsSeen{}, err
	}
	var seen unitsSeen
	for _, name := range u.With.Units {
		s, err := m.State(ctx, name)
		if err != nil {
			return seen, err
		}
		seen.Units = append(seen.Units, s)
		seen.Stale = append(seen.Stale, systemd.StaleIn(s.Processes)...)
	}
	return seen, nil
}

// Check tells in which state the units are, and whether the policy lets them be touched.
func (u Units) Check(ctx context.Context, b *bench.Bench) (act.Preview, error) {
	seen, err := u.look(ctx, b)
	if err != nil {
		return act.Preview{}, err
	}
	p := act.Preview{Already: true, Undo: u.undoSays(), Finds: bench.Encode(seen)}
	for _, s := range seen.Units {
		if err := u.allowed(b, s); err != nil {
			return p, err
		}
		if u.already(s) {
			p.Says = append(p.Says, fmt.Sprintf("%s is %s already", s.Unit, u.wanted()))
			continue
		}
		p.Already = false
		p.Says = append(p.Says, fmt.Sprintf("%s %s (now %s, %s, %s)", u.Kind, s.Unit, s.Active, s.Sub, counted(len(s.Processes), "process", "processes")))
		p.Warns = append(p.Warns, u.warns(s)...)
	}
	if n := len(seen.Stale); n > 0 && u.Kind == act.Restart {
		p.Says = append(p.Says, fmt.Sprintf("%s of old code leave memory, first %s in process %d", counted(n, "mapped file", "mapped files"), tame.Short(seen.Stale[0].Path, 1000), seen.Stale[0].PID))
	}
	if u.With.ConfirmMS > 0 {
		p.Says = append(p.Says, fmt.Sprintf("undoes itself after %v unless confirmed", time.Duration(u.With.ConfirmMS)*time.Millisecond))
	}
	return p, nil
}

// allowed holds the policy against both the name and what it stands for, and refuses what systemd would refuse later.
func (u Units) allowed(b *bench.Bench, s systemd.State) error {
	for _, name := range []string{s.Unit, s.ID} {
		if name == "" {
			continue
		}
		if strings.HasPrefix(name, "staunch") {
			return bench.Denied("%s is our own: no order touches it", name)
		}
		if err := b.Policy.Unit(name); err != nil {
			return err
		}
		if word := bounds.WordOfUnit(name); word != "" {
			if err := b.Policy.Word(word, "unit "+name); err != nil {
				return err
			}
			if err := u.confirmed(name, word); err != nil {
				return err
			}
		}
	}
	switch {
	case s.Load == "not-found" && u.Kind != act.Unmask && u.Kind != act.Mask:
		return fault.New(fault.NotFound, "there is no unit %s on this host", s.Unit)
	case s.Masked() && (u.Kind == act.Start || u.Kind == act.Restart || u.Kind == act.Reload):
		return fault.New(fault.Conflict, "%s is masked", s.Unit).Hinted("unmask it first")
	case u.Kind == act.Reload && !s.CanReload:
		return fault.New(fault.Unsupported, "%s cannot reload", s.Unit).Hinted("restart it")
	case u.Kind == act.Reload && s.Active != "active":
		return fault.New(fault.Conflict, "%s is %s: only what runs can reload", s.Unit, s.Active)
	case (u.Kind == act.Stop || u.Kind == act.Restart) && s.Active == "active" && !s.CanStop:
		return bench.Denied("%s may not be stopped by hand (RefuseManualStop)", s.Unit)
	}
	return nil
}

// confirmed demands that an act which can cut our own access undoes itself.
func (u Units) confirmed(name string, word bounds.Word) error {
	cuts := word == bounds.WordNetwork || word == bounds.WordSSH
	if cuts && (u.Kind == act.Stop || u.Kind == act.Mask) && u.With.ConfirmMS == 0 {
		return bench.Denied("%s of %s can cut our own access: it must undo itself unless confirmed", u.Kind, name).Hinted("set confirm_ms, as in --confirm 2m")
	}
	return nil
}

func (u Units) already(s systemd.State) bool {
	switch u.Kind {
	case act.Stop:
		return s.Active == "inactive" && (len(s.Processes) == 0 || bounds.WordOfUnit(s.Unit) == bounds.WordSSH)
	case act.Start:
		return s.Active == "active"
	case act.Mask:
		return s.Masked()
	case act.Unmask:
		return !s.Masked() && s.File != "masked"
	}
	return false
}

func (u Units) wanted() string {
	return map[act.Kind]string{act.Stop: "stopped", act.Start: "running", act.Mask: "masked", act.Unmask: "not masked"}[u.Kind]
}

func (u Units) undoSays() string {
	switch u.Kind {
	case act.Stop:
		return "starts the units that were running"
	case act.Start:
		return "stops the units that were not running"
	case act.Mask:
		return "unmasks the units that were not masked"
	case act.Unmask:
		return "masks the units that were masked"
	}
	return fmt.Sprintf("cannot be undone: a %s leaves nothing to go back to", u.Kind)
}

func (u Units) warns(s systemd.State) []string {
	var warns []string
	if s.Reloading && u.Kind != act.Stop {
		warns = append(warns, s.Unit+": its unit file changed on disk and systemd has not read it again")
	}
	if u.Kind == act.Mask && s.Unmaskable() {
		warns = append(warns, s.Unit+": its file lies in /etc/systemd/system, where systemd cannot mask it: a drop-in keeps it from starting instead")
	}
	switch {
	case u.Kind == act.Restart && s.Active != "active":
		warns = append(warns, s.Unit+" does not run now: this starts it")
	case u.Kind == act.Mask && s.Active == "active":
		warns = append(warns, s.Unit+" goes on running: mask does not stop it")
	case u.Kind == act.Restart || u.Kind == act.Stop:
		warns = append(warns, s.Unit+" is away from its users for the time of it")
	}
	return warns
}

// Do asks systemd for the wanted state, one unit after another.
func (u Units) Do(ctx context.Context, b *bench.Bench) error {
	m, err := b.Units(ctx)
	if err != nil {
		return err
	}
	verbs := map[act.Kind]systemd.Verb{act.Restart: systemd.Restart, act.Reload: systemd.Reload, act.Stop: systemd.Stop, act.Start: systemd.Start}
	for _, name := range u.With.Units {
		b.Tell(fmt.Sprintf("%s %s", u.Kind, name))
		switch u.Kind {
		case act.Mask:
			err = m.Mask(ctx, name)
		case act.Unmask:
			err = m.Unmask(ctx, name)
		default:
			err = m.Job(ctx, verbs[u.Kind], name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Verify waits for the real state, and proves the new process and its objects.
func (u Units) Verify(ctx context.Context, b *bench.Bench) (any, error) {
	var before unitsSeen
	if err := json.Unmarshal(b.Before, &before); err != nil {
		return nil, fault.New(fault.Corrupt, "the record of before: %v", err)
	}
	m, err := b.Units(ctx)
	if err != nil {
		return nil, err
	}
	if u.Kind == act.Reload && !b.Did {
		return nil, fault.New(fault.Conflict, "whether the units reloaded cannot be seen from outside")
	}
	for _, was := range before.Units {
		if err := u.prove(ctx, m, was, b.Did); err != nil {
			seen, lookErr := u.look(ctx, b)
			if lookErr != nil {
				return nil, err
			}
			return seen, err
		}
	}
	seen, err := u.look(ctx, b)
	if err == nil && (u.Kind == act.Restart || u.Kind == act.Start) && len(seen.Stale) > 0 {
		err = fault.New(fault.Conflict, "process %d still maps old code: %s", seen.Stale[0].PID, tame.Short(seen.Stale[0].Path, 1000))
	}
	if err == nil && len(u.With.Gone) > 0 {
		err = goneFrom(ctx, seen, u.With.Gone)
	}
	return seen, err
}

// leaving is how long old processes may take to leave after systemd called the job done.
const leaving = 5 * time.Second

// prove holds one unit's state now against what the act wanted and against what was before.
func (u Units) prove(ctx context.Context, m *systemd.Manager, was systemd.State, did bool) error {
	settle := time.Duration(u.With.SettleMS) * time.Millisecond
	if settle == 0 {
		settle = time.Second
	}
	patient, cancel := context.WithTimeout(ctx, leaving)
	defer cancel()
	switch u.Kind {
	case act.Stop:
		_, err := m.Down(patient, was.Unit, bounds.WordOfUnit(was.Unit) == bounds.WordSSH)
		return err
	case act.Mask, act.Unmask:
		s, err := m.State(ctx, was.Unit)
		if err == nil && !u.already(s) {
			err = fault.New(fault.Conflict, "%s is %s, not %s", was.Unit, s.Load, u.wanted())
		}
		return err
	}
	s, err := m.Up(ctx, was.Unit, settle)
	if err != nil {
		return err
	}
	if u.Kind != act.Restart {
		return nil
	}
	patient, cancel = context.WithTimeout(ctx, leaving)
	defer cancel()
	if s.Invocation == was.Invocation && (s.Invocation != "" || !did) { // a oneshot that systemd has forgotten has none
		return fault.New(fault.Conflict, "%s was not restarted: it is still the same start", was.Unit)
	}
	if s.MainPID != 0 && s.MainPID == was.MainPID && (systemd.Process{PID: s.MainPID, Ticks: ticksOf(was)}).Alive() {
		return fault.New(fault.Conflict, "%s has its old main process %d", was.Unit, s.MainPID)
	}
	old := was.Processes
	if bounds.WordOfUnit(was.Unit) == bounds.WordSSH { // sessions outlive the daemon by design, ours among them: only old code in them counts
		old = slices.DeleteFunc(slices.Clone(old), func(p systemd.Process) bool { return len(systemd.StaleIn([]systemd.Process{p})) == 0 })
	}
	if left := systemd.Left(patient, old); len(left) > 0 {
		return fault.New(fault.Conflict, "%s was restarted, but %d old processes still run, first %d", was.Unit, len(left), left[0].PID).
			Hinted("its KillMode spares them: signal each one, or reboot")
	}
	return nil
}

func ticksOf(s systemd.State) uint64 {
	for _, p := range s.Processes {
		if p.PID == s.MainPID {
			return p.Ticks
		}
	}
	return 0
}

// Undo brings back the states that were there before.
func (u Units) Undo(ctx context.Context, b *bench.Bench) (any, error) {
	var before unitsSeen
	if err := json.Unmarshal(b.Before, &before); err != nil {
		return nil, fault.New(fault.Corrupt, "the record of before: %v", err)
	}
	opposite := Units{map[act.Kind]act.Kind{act.Stop: act.Start, act.Start: act.Stop, act.Mask: act.Unmask, act.Unmask: act.Mask}[u.Kind], &act.UnitsWith{SettleMS: u.With.SettleMS}}
	for _, was := range before.Units {
		if !u.already(was) && was.Load != "not-found" {
			opposite.With.Units = append(opposite.With.Units, was.Unit)
		}
	}
	if err := opposite.Do(ctx, b); err != nil {
		return nil, err
	}
	now, err := opposite.look(ctx, b)
	if err != nil {
		return nil, err
	}
	again := *b
	again.Before, again.Did = bench.Encode(now), true
	return opposite.Verify(ctx, &again)
}

// Tail gives the last lines that the units wrote, for an outcome that is not good.
func (u Units) Tail(ctx context.Context, b *bench.Bench) []string {
	var lines []string
	for _, name := range u.With.Units {
		out, err := b.Run(ctx, bench.Command{Argv: []string{"journalctl", "-q", "-n", "15", "-o", "cat", "--no-pager", "-u", name}, Output: 64 << 10})
		if err == nil {
			lines = append(lines, out...)
		}
	}
	return lines
}

// goneFrom looks at the units' processes with the scanner's own eyes: none may map any of the objects. A process that cannot be
// looked at proves nothing.
func goneFrom(ctx context.Context, seen unitsSeen, ids []string) error {
	question := scan.Question{NoDormant: true}
	for _, s := range seen.Units {
		for _, p := range s.Processes {
			question.PIDs = append(question.PIDs, p.PID)
		}
	}
	if len(question.PIDs) == 0 {
		return nil
	}
	report, err := scan.Look(ctx, question, scan.Env{}, nil)
	if err != nil {
		return fault.New(fault.KindOf(err), "whether the old code is gone could not be looked at: %v", err)
	}
	if len(report.Unseen) > 0 {
		return fault.New(fault.Conflict, "process %d could not be looked at: %s", report.Unseen[0].PID, tame.Short(report.Unseen[0].Reason, 1000))
	}
	for _, p := range report.Processes {
		for _, o := range p.Objects {
			if o.ID == "" {
				return fault.New(fault.Conflict, "process %d: %s could not be read", p.PID, tame.Short(o.Path, 1000))
			}
			if slices.Contains(ids, o.ID) {
				return fault.New(fault.Conflict, "process %d still maps %s", p.PID, tame.Short(o.Path, 1000))
			}
		}
	}
	return nil
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
