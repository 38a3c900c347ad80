package watch

import (
	"bytes"
	"os"

	"staunch/see/scan/proc"
)

// print is what tells one state of a process from another. Its memory map is read only when the cheap part differs.
type print struct {
	start uint64 // of the process: a pid that is used again is another one
	cheap uint64 // size of its memory, and where program and stack lie: a library that comes in changes the first, a program all
	code  uint64 // files that it has mapped to run; 0 where they may not be read
}

// prints reads all processes; of those that look as before, the memory map is taken as read.
func (w *Watcher) prints(before map[int]print) (map[int]print, error) {
	pids, err := proc.PIDs(w.root)
	if err != nil {
		return nil, err
	}
	now := make(map[int]print, len(pids))
	for _, pid := range pids {
		if pid == os.Getpid() {
			continue
		}
		if p, ok := w.print(pid, before[pid]); ok {
			now[pid] = p
		}
	}
	clear(w.told)
	return now, nil
}

// print reads one process; false when it ended, or is the kernel's own.
func (w *Watcher) print(pid int, before print) (print, bool) {
	dir, err := proc.Open(w.root, pid)
	if err != nil {
		return print{}, false
	}
	defer dir.Close()
	text, err := dir.Read(&w.s, "stat", 64<<10)
	if err != nil {
		return print{}, false
	}
	st, err := proc.ParseStat(text)
	if err != nil || st.Kernel || st.State == 'Z' || st.State == 'X' {
		return print{}, false
	}
	p := print{start: st.Start, cheap: cheapPart(text), code: before.code}
	if p.start != before.start || p.cheap != before.cheap || w.told[pid] {
		p.code = codeOf(dir, &w.s)
	}
	return p, true
}

// cheapPart hashes the fields of a stat file that change with what is mapped: vsize, startcode, endcode, startstack (proc(5), 23, 26 to 28).
func cheapPart(stat []byte) uint64 {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	var h fnv
	for _, n := range []int{23, 26, 27, 28} {
		if n-3 < len(fields) {
			h.add(fields[n-3])
		}
	}
	return h.sum()
}

// codeOf hashes which files a process has mapped to run; 0 where that may not be read.
func codeOf(dir *proc.Dir, s *proc.Scratch) uint64 {
	var h fnv
	_, err := dir.EachExecutable(s, func(m proc.Mapping) {
		if !proc.Kernel(m.Path) && !proc.MemFile(m.Path) {
			h.number(m.Dev)
			h.number(m.Inode)
			h.add(m.Path)
		}
	})
	if err != nil {
		return 0
	}
	return h.sum() | 1
}

// fnv is the hash FNV-1a of 64 bits, without an allocation.
type fnv uint64

func (h *fnv) add(b []byte) {
	x := uint64(*h)
	if x == 0 {
		x = 14695981039346656037
	}
	for _, c := range b {
		x = (x ^ uint64(c)) * 1099511628211
	}
	*h = fnv((x ^ 0xff) * 1099511628211) // ends the piece
}

func (h *fnv) number(n uint64) {
	h.add([]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24), byte(n >> 32), byte(n >> 40), byte(n >> 48), byte(n >> 56)})
}

func (h *fnv) sum() uint64 { return uint64(*h) }
