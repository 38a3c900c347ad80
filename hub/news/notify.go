package news

import (
	"context"
	"errors"
	"fmt"
	"time"

	"staunch/fault"
	"staunch/incident"
	"staunch/notify"
	"staunch/steer/plan"
	"staunch/steer/run"
)

// Kinds of notices, as the notify command gets them.
const (
	LoneVote = "lone_vote" // a plan begins on the vote of one person alone, after a delay
	Glass    = "glass"     // somebody broke the glass
	Stopped  = "stopped"   // a run stopped at a failure
	Waits    = "waits"     // a person's turn has come
	Finished = "done"      // a run is done
	DueNow   = "due"       // something that a person has to do is due
)

// overdue is how often people are reminded of a step of theirs that is overdue.
const overdue = time.Hour

// Tell tells people something that they were not told yet, and records how that went. An error means that they were not told; the incident
// goes on. Two commands at the same moment may tell twice; nothing is told never.
func (d *Desk) Tell(ctx context.Context, id string, n incident.Notice) error {
	return d.tell(ctx, id, n, 0)
}

func (d *Desk) tell(ctx context.Context, id string, n incident.Notice, every time.Duration) error {
	s, _, err := d.Hub.Incident(ctx, id)
	if err != nil || !s.Owes(n.Key, every, d.Hub.Now()) {
		return err
	}
	sent := d.send(ctx, id, n)
	if d.Notify == nil && n.Kind != LoneVote && n.Kind != Glass {
		return sent // nobody could be told from the beginning: only what must not be silent is worth a record
	}
	if sent != nil {
		n.Failed = sent.Error()
	}
	_, err = d.Hub.Do(ctx, id, incident.Told{Notice: n})
	return errors.Join(sent, err)
}

func (d *Desk) send(ctx context.Context, id string, n incident.Notice) error {
	if d.Notify == nil {
		return fault.New(fault.Unsupported, "no notify command is set").Hinted("notify: [/path/of/a/program, argument] in staunch.yaml")
	}
	return d.Notify(ctx, notify.Message{Kind: n.Kind, Incident: id, To: n.To, Says: n.Says, At: d.Hub.Now().UTC()})
}

// Remind tells owners what is due: entries of the checklist, and steps for people in the run of the newest plan. It returns what is due now,
// whether or not somebody could be told; the error says whom nobody told.
func (d *Desk) Remind(ctx context.Context, id string) (due []incident.Notice, err error) {
	s, _, err := d.Hub.Incident(ctx, id)
	if err != nil || s.Closed {
		return nil, err
	}
	var failed []error
	var reached []string
	for _, e := range s.Due(d.Hub.Now()) {
		n := incident.Notice{Key: "entry " + e.ID, Kind: DueNow, To: e.Owner, Says: "incident " + id + ": due " + clock(e.Due) + ": " + e.Says}
		due = append(due, n)
		if err := d.send(ctx, id, n); err != nil {
			failed = append(failed, err)
			continue
		}
		reached = append(reached, e.ID)
	}
	if len(reached) > 0 {
		if _, err := d.Hub.Do(ctx, id, incident.Remind{Only: reached}); err != nil {
			return due, err
		}
	}
	steps, err := d.remindSteps(ctx, s)
	return append(due, steps...), errors.Join(append(failed, err)...)
}

// remindSteps tells people that their turn has come, and again every hour once it is overdue.
func (d *Desk) remindSteps(ctx context.Context, s *incident.Incident) (due []incident.Notice, err error) {
	cur := s.Current()
	if cur == nil {
		return nil, nil
	}
	sealed, err := d.Hub.Plan(ctx, cur.Plan)
	if err != nil {
		return nil, err
	}
	m, err := run.Load(ctx, sealed, d.Hub.Record(cur.Plan))
	if err != nil {
		return nil, err
	}
	var failed []error
	for _, at := range m.Places() {
		step := sealed.Plan().Step(at.Step)
		if at.Phase != run.Asking || step.Task == nil {
			continue
		}
		n, every := asked(s.Opened.ID, cur.Plan, step, at, d.Hub.Now())
		if every > 0 {
			due = append(due, n)
		}
		if err := d.tell(ctx, s.Opened.ID, n, every); err != nil {
			failed = append(failed, err)
		}
		if deputy := step.Task.Deputy; every > 0 && deputy != "" {
			n.Key, n.To, n.Says = n.Key+" "+deputy, deputy, step.Task.Owner+" has not done it: "+n.Says
			due = append(due, n)
			if err := d.tell(ctx, s.Opened.ID, n, every); err != nil {
				failed = append(failed, err)
			}
		}
	}
	for i, w := range sealed.Plan().Watches {
		if d.Hub.Now().Before(w.Due) {
			continue
		}
		n := incident.Notice{Key: fmt.Sprintf("watch %s %d", cur.Plan, i), Kind: DueNow, Says: "incident " + s.Opened.ID + ": " + watchWords(w)}
		due = append(due, n)
		if err := d.tell(ctx, s.Opened.ID, n, 24*time.Hour); err != nil {
			failed = append(failed, err)
		}
	}
	return due, errors.Join(failed...)
}

func asked(id, planID string, step *plan.Step, at run.Place, now time.Time) (incident.Notice, time.Duration) {
	n := incident.Notice{
		Key: "waits " + planID + " " + at.Step + " " + at.Target, Kind: Waits, To: step.Task.Owner,
		Says: "incident " + id + " waits for you: " + step.Task.Asks + " (until " + clock(step.Task.Due) + "; then: staunch incident confirm " + id + " " + at.Step + " " + at.Target + ")",
	}
	if now.Before(step.Task.Due) {
		return n, 0
	}
	n.Key, n.Kind, n.Says = "overdue "+planID+" "+at.Step+" "+at.Target, DueNow, "OVERDUE: "+n.Says
	return n, overdue
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04Z") }
