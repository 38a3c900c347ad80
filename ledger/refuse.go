package ledger

import "staunch/fault"

// The refusals that every store words alike.

// Closed is the refusal of a ledger that was closed.
func Closed() error { return fault.New(fault.Conflict, "the ledger is closed") }

// Moved is the refusal of an append that expected another end of its stream.
func Moved(stream string, want, have Position) error {
	return fault.New(fault.Conflict, "stream %s holds %d events, the writer had seen %d", stream, have, want).
		Hinted("somebody else wrote first: read again and decide anew")
}

// Newer is the refusal of a document put over a revision that the writer had not seen.
func Newer(d Document, want, have int64) error {
	return fault.New(fault.Conflict, "%s %s is at revision %d, the writer had seen %d", d.Kind, d.ID, have, want).
		Hinted("somebody else wrote first: read again and decide anew")
}

// Repeated compares an append with the stored events that carry its ids: none is no repeat, all and the same is one,
// anything else is a conflict. Batches are atomic, so a part of one is never there by itself.
func Repeated(batch, found []Event) (Receipt, error) {
	if len(found) == 0 {
		return Receipt{}, nil
	}
	byID := make(map[string]Event, len(found))
	for _, e := range found {
		byID[e.ID] = e
	}
	for _, e := range batch {
		old, ok := byID[e.ID]
		if !ok || !e.SameFact(old) {
			return Receipt{}, fault.New(fault.Conflict, "event id %s: its append holds ids that are in the ledger with other content", e.ID).
				Hinted("an event id is never used again for another fact")
		}
	}
	first, last := byID[batch[0].ID], byID[batch[len(batch)-1].ID]
	return Receipt{First: first.Seq, Last: last.Seq, Pos: last.Pos, Repeat: true}, nil
}
