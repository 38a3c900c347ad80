package ledger

import (
	"context"
	"iter"
	"time"

	"staunch/fault"
)

// MaxDocument is the size of the largest document in bytes.
const MaxDocument = 64 << 20

// Document is something large or replaceable that lies beside the log: a host's last report, a plan, a picture. Events name it.
type Document struct {
	Kind   string    `json:"kind"` // "report", "plan"
	ID     string    `json:"id"`
	Rev    int64     `json:"rev"` // number of times it was put, from 1; the store sets it
	Stored time.Time `json:"stored"`
	Body   []byte    `json:"body"`
}

// Documents keeps the newest revision of each document. It is as durable as the log, but has no history.
type Documents interface {
	// Put stores d if its newest revision is `rev` (0: none yet, Any: whatever it is), else Conflict.
	Put(ctx context.Context, d Document, rev int64) error
	Get(ctx context.Context, kind, id string) (Document, error) // NotFound
	List(ctx context.Context, kind string) iter.Seq2[Document, error]
	Drop(ctx context.Context, kind, id string) error // dropping what is not there is no error
}

// PrepareDocument refuses what no store takes.
func PrepareDocument(d Document) error {
	if d.Kind == "" || d.ID == "" || !plain(d.Kind) || !plain(d.ID) {
		return fault.New(fault.Usage, "a document has a kind and an id of plain text, at most %d bytes each", maxName)
	}
	if len(d.Body) > MaxDocument {
		return fault.New(fault.Usage, "document %s/%s holds %d bytes, at most %d fit", d.Kind, d.ID, len(d.Body), MaxDocument)
	}
	return nil
}
