package proc

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Stat is what /proc/PID/stat and status tell of one process.
type Stat struct {
	Name    string
	State   byte // R, S, D, Z ...
	PPID    int
	Threads int
	Start   uint64 // ticks after boot
	Kernel  bool   // a thread of the kernel: it runs no program
	UID     int    // effective user
}

// ErrShape tells that text is not as the kernel writes it.
var ErrShape = errors.New("not as the kernel writes it")

const kernelThread = 0x00200000 // PF_KTHREAD of include/linux/sched.h

// Stat reads stat, and who owns the directory.
func (d *Dir) Stat(s *Scratch) (Stat, error) {
	b, err := d.Read(s, "stat", maxSmall)
	if err != nil {
		return Stat{}, err
	}
	st, err := ParseStat(b)
	if err != nil || st.Kernel {
		return st, err
	}
	if uid, ok := d.owner(); ok {
		st.UID = uid
		return st, nil
	}
	b, err = d.Read(s, "status", maxSmall)
	if err != nil {
		return st, err
	}
	st.UID, err = parseUID(b)
	return st, err
}

// owner is the process's effective user as procfs itself tells it, at a tenth of what the text of status costs. Of all its files only
// directories that everybody may list belong to that user whatever the process is allowed (task_dump_owner of fs/proc/base.c); of any
// other file, and of a directory that is not of procfs, it is not known.
func (d *Dir) owner() (uid int, ok bool) {
	var st unix.Stat_t
	for {
		switch err := unix.Fstat(d.fd, &st); {
		case err == unix.EINTR:
			continue
		case err != nil, st.Mode != unix.S_IFDIR|0o555, unix.Major(st.Dev) != 0, st.Ino == 0:
			return 0, false
		}
		return int(st.Uid), !d.textOnly
	}
}

// ParseStat reads the text of a stat file. A name may hold blanks and brackets, so the last bracket ends it.
func ParseStat(b []byte) (Stat, error) {
	var st Stat
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return st, fmt.Errorf("stat: %w", ErrShape)
	}
	st.Name = string(b[open+1 : end])
	var fields [22][]byte // from field 3 (state) on
	if n := split(b[end+1:], fields[:]); n < 20 || len(fields[0]) != 1 {
		return st, fmt.Errorf("stat: %w", ErrShape)
	}
	st.State = fields[0][0]
	flags, okFlags := decimal(fields[6])
	ppid, okPPID := decimal(fields[1])
	threads, okThreads := decimal(fields[17])
	start, okStart := decimal(fields[19])
	if !okFlags || !okPPID || !okThreads || !okStart {
		return st, fmt.Errorf("stat: %w", ErrShape)
	}
	st.PPID, st.Threads, st.Start = int(ppid&0x7fffffff), int(threads&0x7fffffff), start
	st.Kernel = flags&kernelThread != 0
	return st, nil
}

// split puts the words of b into fields and returns how many there were, at most len(fields).
func split(b []byte, fields [][]byte) int {
	n := 0
	for n < len(fields) {
		b = bytes.TrimLeft(b, " \t\n")
		if len(b) == 0 {
			break
		}
		end := bytes.IndexAny(b, " \t\n")
		if end < 0 {
			end = len(b)
		}
		fields[n] = b[:end]
		n++
		b = b[end:]
	}
	return n
}

// parseUID finds the effective user in the text of a status file: "Uid: real effective saved filesystem".
func parseUID(b []byte) (int, error) {
	_, line, ok := bytes.Cut(b, []byte("\nUid:"))
	if !ok {
		return 0, fmt.Errorf("status: %w", ErrShape)
	}
	line, _, _ = bytes.Cut(line, []byte("\n"))
	var fields [4][]byte
	if split(line, fields[:]) < 2 {
		return 0, fmt.Errorf("status: %w", ErrShape)
	}
	uid, ok := decimal(fields[1])
	if !ok || uid > 1<<32-1 {
		return 0, fmt.Errorf("status: %w", ErrShape)
	}
	return int(uid), nil
}

// Live returns a thread that still has memory, for a process whose first thread has ended while others go on.
func (d *Dir) Live(root string, s *Scratch) (*Dir, bool) {
	tasks, err := PIDs(fmt.Sprintf("%s/%d/task", root, d.PID))
	if err != nil {
		return nil, false
	}
	for _, tid := range tasks {
		if tid == d.PID {
			continue
		}
		// a thread's directory can be opened below /proc although it is not listed there, and has map_files, which task/TID lacks
		t, err := Open(root, tid)
		if err != nil {
			continue
		}
		b, err := t.Read(s, "stat", maxSmall)
		if err == nil {
			if st, err := ParseStat(b); err == nil && st.State != 'Z' && st.State != 'X' {
				return t, true
			}
		}
		t.Close()
	}
	return nil, false
}
