package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"staunch/fault"

	"github.com/google/uuid"
)

// Limits that every store keeps, so that one caller cannot make the log unreadable for the others.
const (
	MaxData   = 1 << 20 // bytes of one event's data
	MaxBatch  = 1000    // events in one Append
	maxName   = 200     // bytes of a stream, kind or name of who did it
	idLetters = 36
)

// Event is one fact that happened. Facts are never changed or removed; a correction is another event.
type Event struct {
	ID     string          `json:"id"`               // UUIDv7, made by the caller: appending it again changes nothing
	Seq    int64           `json:"seq"`              // place in the one global order, from 1 without gaps; the store sets it
	Stream string          `json:"stream"`           // the aggregate it belongs to: "incident/7", "run/7.1", "ledger"
	Pos    int64           `json:"pos"`              // place in its stream, from 1 without gaps; the store sets it
	At     time.Time       `json:"at"`               // when it happened, by the clock of who wrote it (UTC, milliseconds)
	Stored time.Time       `json:"stored"`           // when the store took it, by the store's clock; the store sets it
	By     string          `json:"by,omitempty"`     // person or part of staunch that did it
	Source string          `json:"source,omitempty"` // machine that wrote it: tells clocks apart, names imported journals
	Kind   string          `json:"kind"`             // "incident.opened", "step.begun"
	V      int             `json:"v"`                // version of the kind's data
	Data   json.RawMessage `json:"data,omitempty"`   // one JSON value, compact
}

// NewID makes an event id: a UUIDv7, so that ids sort roughly by time.
func NewID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fault.New(fault.Unsupported, "no random numbers for an event id: %v", err)
	}
	return id.String(), nil
}

// New makes an event of this kind with a fresh id, data as JSON, at the given time.
func New(kind string, v int, at time.Time, by string, data any) (Event, error) {
	id, err := NewID()
	if err != nil {
		return Event{}, err
	}
	raw, err := json.Marshal(data)
	if err != nil {
		return Event{}, fault.New(fault.Bug, "data of %s is not JSON: %v", kind, err)
	}
	return Event{ID: id, At: Millis(at), By: by, Kind: kind, V: v, Data: raw}, nil
}

// Millis gives t the precision that the ledger keeps: UTC, whole milliseconds.
func Millis(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()).UTC() }

// Decode reads the event's data into v and names the event when it cannot.
func (e Event) Decode(v any) error {
	if err := json.Unmarshal(e.Data, v); err != nil {
		return fault.New(fault.Corrupt, "event %d (%s, %s): data: %v", e.Seq, e.Kind, e.ID, err)
	}
	return nil
}

// Prepare checks what the caller wrote and brings it to the form that is stored: times in milliseconds, data compact.
func (e Event) Prepare() (Event, error) {
	if _, err := uuid.Parse(e.ID); err != nil || len(e.ID) != idLetters {
		return e, fault.New(fault.Usage, "event id %.40q is not a UUID", e.ID)
	}
	if e.Kind == "" || !plain(e.Kind) || !plain(e.By) || !plain(e.Source) {
		return e, fault.New(fault.Usage, "event %s: kind, by and source are plain text of at most %d bytes, kind is not empty", e.ID, maxName)
	}
	if len(e.Data) > MaxData {
		return e, fault.New(fault.Usage, "event %s (%s) holds %d bytes of data, at most %d fit", e.ID, e.Kind, len(e.Data), MaxData).
			Hinted("keep large things as documents and name them in the event")
	}
	if e.At.IsZero() {
		return e, fault.New(fault.Usage, "event %s (%s) does not say when it happened", e.ID, e.Kind)
	}
	e.ID, e.At, e.Stored, e.Seq, e.Pos = strings.ToLower(e.ID), Millis(e.At), time.Time{}, 0, 0
	if len(e.Data) == 0 {
		e.Data = nil
		return e, nil
	}
	var b bytes.Buffer
	if err := json.Compact(&b, e.Data); err != nil {
		return e, fault.New(fault.Usage, "event %s (%s): data is not JSON: %v", e.ID, e.Kind, err)
	}
	e.Data = b.Bytes()
	return e, nil
}

// PrepareAll checks a whole Append: its stream, its size and each event.
func PrepareAll(stream string, events []Event) ([]Event, error) {
	if stream == "" || !plain(stream) {
		return nil, fault.New(fault.Usage, "stream %.40q: a stream is named by plain text of 1 to %d bytes", stream, maxName)
	}
	if len(events) == 0 || len(events) > MaxBatch {
		return nil, fault.New(fault.Usage, "an append carries 1 to %d events, this one %d", MaxBatch, len(events))
	}
	out := make([]Event, len(events))
	seen := make(map[string]bool, len(events))
	for i, e := range events {
		p, err := e.Prepare()
		if err != nil {
			return nil, err
		}
		if seen[p.ID] {
			return nil, fault.New(fault.Usage, "event id %s stands twice in one append", p.ID)
		}
		seen[p.ID] = true
		p.Stream = stream
		out[i] = p
	}
	return out, nil
}

// SameFact tells whether two prepared events say the same, wherever and whenever they were stored and whatever brought them here.
func (e Event) SameFact(o Event) bool {
	return e.ID == o.ID && e.Stream == o.Stream && e.At.Equal(o.At) && e.By == o.By &&
		e.Kind == o.Kind && e.V == o.V && bytes.Equal(e.Data, o.Data)
}

// Digest is the SHA-256 over everything that the store holds of the event, each part with its length before it.
func (e Event) Digest() [sha256.Size]byte {
	b := make([]byte, 0, 160+len(e.Data))
	for _, n := range []int64{e.Seq, e.Pos, e.At.UnixMilli(), e.Stored.UnixMilli(), int64(e.V)} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	for _, s := range []string{e.ID, e.Stream, e.By, e.Source, e.Kind} {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
	}
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(e.Data))), e.Data...)
	return sha256.Sum256(b)
}

func plain(s string) bool {
	return len(s) <= maxName && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
