package news

import (
	"context"
	"errors"
	"strconv"

	"staunch/hub"
	"staunch/incident"
	"staunch/steer/plan"
	"staunch/steer/run"
)

// Announce tells people what a run has come to: what failed, that it is done; and reminds owners of what is due.
func (d *Desk) Announce(ctx context.Context, sealed *plan.Sealed) error {
	p := sealed.Plan()
	m, err := run.Load(ctx, sealed, d.Hub.Record(p.ID))
	if err != nil {
		return err
	}
	var failed []error
	for _, f := range m.Failures() {
		failed = append(failed, d.Tell(ctx, p.Incident, incident.Notice{
			Key: "failed " + p.ID + " " + f.Step + " " + f.Target + " #" + strconv.Itoa(f.Attempt), Kind: Stopped,
			Says: "plan " + p.ID + " STOPPED: " + f.Step + " on " + f.Target + " failed: " + f.Says,
		}))
	}
	if m.Next(d.Hub.Now(), nil).State == run.Complete {
		failed = append(failed, d.Tell(ctx, p.Incident, incident.Notice{Key: "done " + p.ID, Kind: Finished, Says: "plan " + p.ID + " is done: " + p.Title}))
	}
	_, err = d.Remind(ctx, p.Incident)
	return errors.Join(append(failed, err)...)
}

// WarnOfLoneVote tells people that a plan will begin on one person's vote, so that somebody can object.
func (d *Desk) WarnOfLoneVote(ctx context.Context, sealed *plan.Sealed, a hub.Approval) error {
	if a.From.IsZero() {
		return nil
	}
	p := sealed.Plan()
	who := "one person"
	if v := append(append([]string{}, a.People...), a.Carried...); len(v) > 0 {
		who = v[0]
	}
	return d.Tell(ctx, p.Incident, incident.Notice{
		Key: "lone " + p.ID, Kind: LoneVote,
		Says: "plan " + p.ID + " (" + p.Title + ") begins at " + clock(a.From) + " on the vote of " + who + " alone; to object: staunch incident pause " + p.Incident + " --reason ...",
	})
}

// WarnOfGlass tells people that somebody broke the glass.
func (d *Desk) WarnOfGlass(ctx context.Context, sealed *plan.Sealed, a hub.Approval) error {
	p := sealed.Plan()
	var failed []error
	for _, g := range a.Glass {
		failed = append(failed, d.Tell(ctx, p.Incident, incident.Notice{
			Key: "glass " + p.ID + " " + g.By, Kind: Glass,
			Says: g.By + " BROKE THE GLASS for plan " + p.ID + ": it runs without its votes, because: " + g.Reason + "; somebody else must review it: staunch approve " + p.ID + " --review --reason ...",
		}))
	}
	return errors.Join(failed...)
}
