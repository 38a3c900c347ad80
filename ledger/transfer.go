package ledger

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"staunch/fault"
)

// Export writes events as JSON, one a line, in global order, and returns how many.
func Export(log iter.Seq2[Event, error], w io.Writer) (int64, error) {
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	var n int64
	for e, err := range log {
		if err != nil {
			return n, err
		}
		if err := enc.Encode(e); err != nil {
			return n, fault.New(fault.Full, "writing event %d: %v", e.Seq, err)
		}
		n++
	}
	if err := out.Flush(); err != nil {
		return n, fault.New(fault.Full, "writing the export: %v", err)
	}
	return n, nil
}

// Imported counts what an import did.
type Imported struct {
	Added   int64 `json:"added"`
	Known   int64 `json:"known"`   // were here already
	Skipped int64 `json:"skipped"` // seals of the log they come from: they fix another order
}

// Import appends the events of an export to l, in their order, with their ids and times; repeating it adds nothing.
// Source names where they come from and is kept in each event that names none. Seals are left behind: l makes its own.
// On an error the events before it are in.
func Import(ctx context.Context, l Ledger, r io.Reader, source string) (Imported, error) {
	var done Imported
	var batch []Event
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := appendEach(ctx, l, batch, &done)
		batch = batch[:0]
		return err
	}
	for e, err := range Lines(r) {
		if err != nil {
			return done, errors.Join(err, flush())
		}
		if e.Kind == SealKind {
			done.Skipped++
			continue
		}
		if e.Source == "" {
			e.Source = source
		}
		if len(batch) == MaxBatch || len(batch) > 0 && batch[0].Stream != e.Stream {
			if err := flush(); err != nil {
				return done, err
			}
		}
		batch = append(batch, e)
	}
	return done, flush()
}

// appendEach adds a batch of one stream at once, or event by event where some are known.
func appendEach(ctx context.Context, l Ledger, batch []Event, done *Imported) error {
	r, err := l.Append(ctx, batch[0].Stream, Any, batch...)
	if err == nil {
		count(r, int64(len(batch)), done)
		return nil
	}
	if !fault.Is(err, fault.Conflict) || len(batch) == 1 {
		return err
	}
	for _, e := range batch {
		r, err := l.Append(ctx, e.Stream, Any, e)
		if err != nil {
			return err
		}
		count(r, 1, done)
	}
	return nil
}

func count(r Receipt, n int64, done *Imported) {
	if r.Repeat {
		done.Known += n
		return
	}
	done.Added += n
}

// maxLine bounds one line of an export: an event's data and what stands around it.
const maxLine = MaxData + 16<<10

// Lines reads an export. Every error names its line; nothing is yielded after one.
func Lines(r io.Reader) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		in := bufio.NewScanner(r)
		in.Buffer(make([]byte, 64<<10), maxLine)
		line := 0
		for in.Scan() {
			line++
			if len(bytes.TrimSpace(in.Bytes())) == 0 {
				continue
			}
			e, err := parseLine(in.Bytes())
			if err != nil {
				yield(Event{}, fault.New(fault.Corrupt, "line %d: %v", line, err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
		if err := in.Err(); err != nil {
			yield(Event{}, fault.New(fault.Corrupt, "line %d: %v", line+1, err))
		}
	}
}

func parseLine(b []byte) (Event, error) {
	var e Event
	if err := json.Unmarshal(b, &e); err != nil {
		return e, err
	}
	seq, pos, stored := e.Seq, e.Pos, e.Stored
	all, err := PrepareAll(e.Stream, []Event{e})
	if err != nil {
		return e, err
	}
	e = all[0]
	if seq < 0 || pos < 0 {
		return e, fmt.Errorf("numbers below zero")
	}
	e.Seq, e.Pos, e.Stored = seq, pos, Millis(stored)
	return e, nil
}
