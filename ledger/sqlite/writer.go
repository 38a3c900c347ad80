package sqlite

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"staunch/fault"
	"staunch/ledger"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// The most that one commit carries: enough to make the disk's wait cheap, few enough to keep each caller's wait short.
const (
	groupJobs  = 512
	groupBytes = 8 << 20
)

// job is one change that somebody waits for. do runs inside the group's transaction; an error from it undoes only this job.
type job struct {
	do    func(*sqlite.Conn) error
	bytes int
	state atomic.Int32 // waiting -> taken | left
	done  chan error   // holds one
}

const (
	waiting = iota
	taken
	left
)

// writer is the one goroutine that changes the database. Jobs that come while it commits share the next commit.
type writer struct {
	conn     *sqlite.Conn
	now      func() time.Time
	path     string
	reserve  reserve
	announce func()
	jobs     chan *job
	stop     chan struct{}
	ended    chan struct{}
	stopOnce sync.Once

	// Owned by the goroutine.
	last   int64
	seen   int64 // the database's data_version at which last and ends were right
	ends   map[string]ledger.Position
	broken error // set when a commit's fate is unknown: the file must be opened anew
	dirty  bool  // the group has appended events
	lean   bool  // the reserve was given up
	noted  int64 // what PATH.head tells
}

func newWriter(conn *sqlite.Conn, path string, now func() time.Time, r reserve, announce func()) (*writer, error) {
	w := &writer{
		conn: conn, path: path, now: now, reserve: r, announce: announce, ends: map[string]ledger.Position{},
		jobs: make(chan *job, groupJobs), stop: make(chan struct{}), ended: make(chan struct{}),
	}
	last, err := one(conn, "SELECT coalesce(max(seq), 0) FROM event")
	if err != nil {
		return nil, err
	}
	w.last = last
	w.lean = !r.fill()
	go w.run()
	return w, nil
}

// submit queues a change and waits until it is on disk. Only when ctx ends after the change was taken is the outcome Unsure.
func (w *writer) submit(ctx context.Context, bytes int, do func(*sqlite.Conn) error) error {
	j := &job{do: do, bytes: bytes, done: make(chan error, 1)}
	select {
	case <-w.stop:
		return ledger.Closed()
	default:
	}
	select {
	case w.jobs <- j:
	case <-w.stop:
		return ledger.Closed()
	case <-ctx.Done():
		return fault.New(fault.Timeout, "not written: %v", ctx.Err())
	}
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
	case <-w.ended:
	}
	if j.state.CompareAndSwap(waiting, left) {
		if ctx.Err() == nil {
			return ledger.Closed()
		}
		return fault.New(fault.Timeout, "not written: %v", ctx.Err())
	}
	select {
	case err := <-j.done:
		return err
	case <-time.After(time.Second): // taken, and the disk does not answer
		return fault.New(fault.Unsure, "the disk has not confirmed the write").Hinted("append the same events again: their ids make that safe")
	}
}

func (w *writer) run() {
	defer close(w.ended)
	for {
		select {
		case j := <-w.jobs:
			w.commit(w.gather(j))
		case <-w.stop:
			for {
				select {
				case j := <-w.jobs:
					w.commit(w.gather(j))
				default:
					return
				}
			}
		}
	}
}

// gather takes what waits already, and lets those who are about to ask do so once; it never waits for more.
func (w *writer) gather(first *job) []*job {
	var group []*job
	bytes, yielded := 0, false
	for j := first; ; {
		if j.state.CompareAndSwap(waiting, taken) {
			group = append(group, j)
			bytes += j.bytes
		}
		if len(group) == groupJobs || bytes > groupBytes {
			return group
		}
		select {
		case j = <-w.jobs:
			continue
		default:
		}
		if yielded {
			return group
		}
		yielded = true
		runtime.Gosched()
		select {
		case j = <-w.jobs:
		default:
			return group
		}
	}
}

// commit makes one transaction of a group and answers everybody in it.
func (w *writer) commit(group []*job) {
	if len(group) == 0 {
		return
	}
	answers, err := w.try(group)
	if isFull(err) {
		if freed, _ := w.reserve.free(); freed { // what cannot be freed leaves the disk full, which the second try tells
			w.lean = true
			answers, err = w.try(group)
		}
	}
	for i, j := range group {
		switch {
		case err != nil:
			j.done <- w.failure(err)
		default:
			j.done <- answers[i]
		}
	}
	if err == nil && w.dirty {
		w.announce()
		w.note()
	}
	w.dirty = false
}

// note tells PATH.head every so often how far the log got; that it could not is found by nobody but a torn copy.
func (w *writer) note() {
	const often = 1000
	if w.last-w.noted >= often && writeHead(w.path, w.last) == nil {
		w.noted = w.last
	}
}

// try runs the group's jobs in one transaction. The error is the transaction's; answers are the jobs' own.
func (w *writer) try(group []*job) (answers []error, err error) {
	if w.broken != nil {
		return nil, w.broken
	}
	last := w.last
	if err := w.exec("BEGIN IMMEDIATE"); err != nil {
		return nil, err
	}
	if err := w.refresh(); err != nil {
		return nil, w.back(last, err)
	}
	last = w.last
	answers = make([]error, len(group))
	for i, j := range group {
		answers[i] = j.do(w.conn)
		if code := sqlite.ErrCode(answers[i]); answers[i] != nil && code.ToPrimary() != sqlite.ResultError && code != sqlite.ResultOK {
			return nil, w.back(last, answers[i]) // the engine failed, not the request
		}
	}
	if err := w.exec("COMMIT"); err != nil {
		if !isFull(err) {
			w.broken = fault.New(fault.Unsure, "the disk failed while writing the ledger: %v", err).
				Hinted("stop, check the disk, and start again: the file is checked when it is opened")
		}
		return nil, w.back(last, err)
	}
	return answers, nil
}

// refresh finds out, inside the transaction, what other processes wrote since the last one.
func (w *writer) refresh() error {
	version, err := pragma(w.conn, "data_version")
	if err != nil || version == w.seen {
		return err
	}
	if w.last, err = one(w.conn, "SELECT coalesce(max(seq), 0) FROM event"); err != nil {
		return err
	}
	clear(w.ends)
	w.seen = version
	return nil
}

// back rolls the transaction back, in the file and in memory.
func (w *writer) back(last int64, cause error) error {
	w.last, w.ends, w.dirty = last, map[string]ledger.Position{}, false
	if !w.conn.AutocommitEnabled() {
		if err := w.exec("ROLLBACK"); err != nil {
			w.broken = fault.New(fault.Unsure, "the ledger could not undo a failed write: %v (after: %v)", err, cause)
			return w.broken
		}
	}
	return cause
}

func (w *writer) exec(statement string) error { return sqlitex.Execute(w.conn, statement, nil) }

// failure words a failed transaction: after a rollback nothing is there; a commit that broke is unsure.
func (w *writer) failure(err error) error {
	switch {
	case w.broken != nil:
		return w.broken
	case isFull(err):
		return fault.New(fault.Full, "the disk is full, the ledger's reserve is used up: nothing was written").
			Hinted("free space on the disk that holds the ledger, then repeat")
	}
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultBusy, sqlite.ResultLocked:
		return fault.New(fault.Conflict, "another process keeps the ledger busy: nothing was written").Hinted("try again")
	}
	return fault.New(fault.Corrupt, "the ledger refused the write, nothing was written: %v", err)
}

func isFull(err error) bool {
	return err != nil && sqlite.ErrCode(err).ToPrimary() == sqlite.ResultFull
}

// close ends the goroutine after what is queued and empties the write-ahead log; it returns the last event's number.
func (w *writer) close() (int64, error) {
	w.stopOnce.Do(func() { close(w.stop) })
	<-w.ended
	if w.broken != nil {
		return w.last, w.broken
	}
	if err := w.exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil && !isFull(err) {
		return w.last, fault.New(fault.Corrupt, "closing the ledger: %v", err)
	}
	if w.lean {
		w.reserve.fill()
	}
	return w.last, nil
}
