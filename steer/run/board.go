package run

import (
	"fmt"
	"strings"
	"time"
)

// Board is a run at a glance: rings as rows, hosts as cells, what happens now, what waits for whom.
type Board struct {
	State   State    `json:"state"`
	Rows    []Row    `json:"rows"`
	Settled int      `json:"settled"` // of Total: step x target
	Total   int      `json:"total"`
	Now     []string `json:"now,omitempty"`
	Failed  []Place  `json:"failed,omitempty"`
	Waits   []string `json:"waits,omitempty"`
}

// Row is one ring; its name is "" for what stands outside of the rings.
type Row struct {
	Ring  string `json:"ring"`
	Cells []Cell `json:"cells"`
}

// Cell is one host with the phase of its target that needs attention most.
type Cell struct {
	Name  string `json:"name"`
	Phase Phase  `json:"phase"`
}

// Mark is a phase as one sign, for terminals without colour as well.
func (c Cell) Mark() string { return string(marks[rank(c.Phase)]) }

// marks are the signs in order of attention: the last needs it most.
const marks = "#-.~>@?!"

// Legend explains the marks.
const Legend = "# proven > at it ~ watched . waiting ? unknown ! failed @ a person - left out"

func rank(p Phase) int {
	return strings.Index(marks, map[Phase]string{
		Good: "#", Skipping: "-", Left: "-", Waiting: ".", Holding: ">", Doing: ">", Proving: ">", Soaking: "~", InDoubt: "?", Undoing: "!", Failed: "!", Asking: "@",
	}[p])
}

// Board draws the run as it stands at a moment.
func (m *Machine) Board(now time.Time) Board {
	b := Board{State: m.Next(now, nil).State, Failed: m.Failures()}
	open, all := m.Unsettled()
	b.Settled, b.Total = all-open, all
	for _, r := range m.plan.Rings {
		b.row(r.Name, m.cells(r.Name))
	}
	b.row("", m.cells(""))
	for _, p := range m.Places() {
		switch p.Phase {
		case Doing, Proving, InDoubt, Undoing, Holding, Soaking:
			b.Now = append(b.Now, m.happens(p, now))
		case Asking:
			task := m.plan.Step(p.Step).Task
			b.Waits = append(b.Waits, fmt.Sprintf("%s: %s (until %s)", task.Owner, task.Asks, task.Due.UTC().Format("2006-01-02 15:04Z")))
		}
	}
	b.Waits = append(b.Waits, m.held(now)...)
	return b
}

func (b *Board) row(ring string, cells []Cell) {
	if len(cells) > 0 {
		b.Rows = append(b.Rows, Row{ring, cells})
	}
}

// happens words one target in progress: since when, or how much longer it is watched.
func (m *Machine) happens(p Place, now time.Time) string {
	at, err := m.find(p.Step, p.Target)
	if err != nil {
		return p.Step + " on " + p.Target
	}
	t := &m.steps[at.step].targets[at.target]
	took := now.Sub(t.since).Round(time.Second)
	switch p.Phase {
	case Soaking:
		left := (m.steps[at.step].Soak() - now.Sub(t.since)).Round(time.Second)
		return fmt.Sprintf("%s on %s: watched, %s to go", p.Step, p.Target, max(left, 0))
	case Holding:
		return fmt.Sprintf("%s on %s: cannot begin yet: %s", p.Step, p.Target, p.Says)
	case Doing:
		return fmt.Sprintf("%s on %s: being done for %s", p.Step, p.Target, took)
	case Proving:
		return fmt.Sprintf("%s on %s: done, its proof is being looked for", p.Step, p.Target)
	case InDoubt:
		return fmt.Sprintf("%s on %s: nobody knows whether it happened; being found out: %s", p.Step, p.Target, p.Says)
	}
	return fmt.Sprintf("%s on %s: being undone for %s", p.Step, p.Target, took)
}

// held says why nothing begins, or why something does not.
func (m *Machine) held(now time.Time) (out []string) {
	switch {
	case m.aborted:
		return []string{"the run was aborted" + because(m.says)}
	case m.replaced != "":
		return []string{"plan " + m.plan.ID + " was replaced by plan " + m.replaced}
	case m.unsettled == 0:
		return nil
	case !m.started:
		return []string{"nobody has started the run"}
	case !now.Before(m.plan.Expires):
		out = append(out, "the plan expired at "+m.plan.Expires.UTC().Format("2006-01-02 15:04Z")+": a new one is needed")
	case m.paused:
		out = append(out, "somebody to resume it: "+m.pausedBy+" paused it"+because(m.says))
	case m.stopped() != "":
		out = append(out, "a failure in "+m.stopped()+" stopped the run: "+m.remedy())
	}
	if from := m.From(); now.Before(from) {
		out = append(out, fmt.Sprintf("%s: nothing begins before it (%s to go), so that others can object", from.UTC().Format("15:04:05Z"), from.Sub(now).Round(time.Second)))
	}
	out = append(out, m.unvoted()...)
	if m.until < len(m.plan.Rings)-1 && m.asked != "" {
		out = append(out, "ring "+m.asked+" was to be the last")
	}
	return out
}

// remedy names the words that a failure waits for, for the first that failed.
func (m *Machine) remedy() string {
	for _, f := range m.Failures() {
		about := m.plan.Incident + " " + f.Step + " " + f.Target
		return "staunch incident retry " + about + ", or skip it with a --reason"
	}
	return "staunch incident brief " + m.plan.Incident
}

func because(says string) string {
	if says == "" {
		return ""
	}
	return " (" + says + ")"
}

// unvoted names what may begin as far as order goes, but lacks votes: a line a ring.
func (m *Machine) unvoted() (out []string) {
	seen := map[string]bool{}
	for i := range m.steps {
		s := &m.steps[i]
		if len(s.ready) == 0 || m.granted(s.Step) || seen[s.Ring] {
			continue
		}
		seen[s.Ring] = true
		where := "what stands outside of the rings"
		if s.Ring != "" {
			where = "ring " + s.Ring
		}
		out = append(out, fmt.Sprintf("%s: %d more of %d votes", where, s.Votes-max(m.votes, 0), s.Votes))
	}
	return out
}

// cells are a ring's hosts, each with the phase of its target that needs attention most; a host that has begun and not ended shows progress.
func (m *Machine) cells(ring string) []Cell {
	worst, settled := map[string]Phase{}, map[string]bool{}
	var order []string
	for i := range m.steps {
		s := &m.steps[i]
		if s.Ring != ring {
			continue
		}
		for t := range s.targets {
			name := s.Targets[t].Host
			if name == "" {
				name = s.ID
			}
			phase := m.shown(s, &s.targets[t])
			had, seen := worst[name]
			if !seen {
				order = append(order, name)
			}
			if !seen || rank(phase) > rank(had) {
				worst[name] = phase
			}
			settled[name] = settled[name] || phase == Good
		}
	}
	cells := make([]Cell, len(order))
	for i, name := range order {
		phase := worst[name]
		if phase == Waiting && settled[name] {
			phase = Doing // between two of its steps
		}
		cells[i] = Cell{name, phase}
	}
	return cells
}
