package incident

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"staunch/fault"
)

// Say keeps a signed word whose signature was checked by the caller.
type Say struct {
	By, Kind, Reason string
	Scope            string    // widen, stay_vulnerable: what it is about, in words
	Until            time.Time // widen, stay_vulnerable
	Body             json.RawMessage
}

// glassReview is the checklist entry that a broken glass leaves behind.
const glassReview = "glass-review"

func (c Say) decide(s *Incident, d *decision) error {
	d.add(Event{Kind: WasSaid, Says: c.says(), Word: &Word{By: c.By, Kind: c.Kind, Body: c.Body}})
	switch c.Kind {
	case "break_glass":
		d.enter(Entry{ID: glassReview, Says: "somebody other than " + c.By + " reviews the broken glass", Due: d.at.Add(24 * time.Hour), Every: 6 * time.Hour, State: OpenEntry})
	case "review":
		at := slices.IndexFunc(s.Checklist, func(e Entry) bool { return e.ID == glassReview && e.State == OpenEntry })
		if at < 0 {
			return fault.New(fault.Conflict, "no broken glass of incident %s waits for a review", s.Opened.ID)
		}
		e := s.Checklist[at]
		e.State, e.Owner, e.Reason = DoneEntry, c.By, c.Reason
		d.enter(e)
	case "stay_vulnerable":
		d.enter(Entry{
			ID: fmt.Sprintf("waiver%d", len(s.Words)+1), Owner: c.By, Due: c.Until, Every: 24 * time.Hour, State: OpenEntry,
			Says: "the waiver ends: " + c.Scope + " must be safe by then, or somebody signs again",
		})
	}
	return nil
}

func (d *decision) enter(e Entry) { d.add(Event{Kind: WasEntered, Says: sayEntry(e), Entry: &e}) }

func (c Say) says() string {
	until := ""
	if !c.Until.IsZero() {
		until = " until " + stamp(c.Until)
	}
	switch c.Kind {
	case "break_glass":
		return c.By + " BROKE THE GLASS: the plan may run without the votes that it asks for, and somebody else must review it: " + c.Reason
	case "review":
		return c.By + " reviewed the broken glass: " + c.Reason
	case "widen":
		return c.By + " gave a standing vote to take in " + c.Scope + until + ": " + c.Reason
	case "stay_vulnerable":
		return c.By + " signed that " + c.Scope + " may stay vulnerable" + until + ": " + c.Reason
	}
	return c.By + " signed: " + strings.TrimSpace(c.Reason)
}
