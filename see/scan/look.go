package scan

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"staunch/fault"
	"staunch/see/scan/cache"
	"staunch/see/scan/container"
	"staunch/see/scan/elf"
	"staunch/see/scan/files"
	"staunch/see/scan/jail"
	"staunch/see/scan/lang"
	"staunch/see/scan/modules"
	"staunch/see/scan/patience"
	"staunch/see/scan/proc"
	"staunch/see/scan/sockets"
)

// look is one Look under way.
type look struct {
	ctx       context.Context
	q         Question
	env       Env
	proc      string
	limit     time.Duration
	workers   int
	began     time.Time
	clock     proc.Clock
	users     users
	scratch   proc.Scratches
	roots     *files.Roots
	files     *files.Table
	places    places
	nets      *sockets.Nets
	modules   *modules.Finder
	marks     []lang.Mark
	catalogue *files.Catalogue
	cache     *cache.Cache
	report    *Report
	progress  func(Progress)
	noteMu    sync.Mutex
	notes     []string
}

// note keeps one sentence on what was not looked at.
func (l *look) note(says string) {
	l.noteMu.Lock()
	defer l.noteMu.Unlock()
	l.notes = append(l.notes, says)
}

// Look tells what runs on this machine (or lies in the directories of the question), with every executable file behind it.
//
// What cannot be read is listed in Report.Unseen and Sight, never dropped and never an error. An error means that nothing could be
// looked at: procfs is missing, the question names an anchor that cannot be asked, or ctx ended. progress may be nil.
func Look(ctx context.Context, q Question, env Env, progress func(Progress)) (*Report, error) {
	l, err := newLook(ctx, q, env, progress)
	if err != nil {
		return nil, err
	}
	defer l.roots.Close()
	l.catalogue.Start(l.workers)
	err = l.everything()
	l.catalogue.Finish()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fault.New(fault.Timeout, "the scan was stopped before its end").Caused(err)
	}
	if err := l.cache.Save(); err != nil {
		l.note("the cache could not be written: " + jail.Reason(err))
	}
	return l.finish(), nil
}

// everything looks at what the question is about and fills the report.
func (l *look) everything() error {
	l.report.Processes, l.report.Objects, l.report.Unseen = []Process{}, []Object{}, []Unseen{}
	var running []*seen
	if l.q.Root != "" || len(l.q.Files) > 0 {
		if err := l.still(); err != nil {
			return err
		}
	} else {
		var err error
		if running, err = l.running(); err != nil {
			return err
		}
		l.catalogue.Wait()
		if !l.q.NoDormant && len(l.q.PIDs) == 0 && len(l.q.Units) == 0 {
			l.dormant()
		}
	}
	return l.assemble(running)
}

func newLook(ctx context.Context, q Question, env Env, progress func(Progress)) (*look, error) {
	l := &look{ctx: ctx, q: q, env: env, proc: env.Proc, limit: env.Limit, workers: env.Workers, began: time.Now(), progress: progress}
	if l.proc == "" {
		l.proc = "/proc"
	}
	if l.limit <= 0 {
		l.limit = 3 * time.Second
	}
	if l.workers <= 0 {
		l.workers = runtime.NumCPU()
	}
	if l.progress == nil {
		l.progress = func(Progress) {}
	}
	analyser, err := elf.New(q.Anchors, elf.Options{})
	if err != nil {
		return nil, fault.From(err, fault.Usage)
	}
	top, err := jail.Open("/")
	if err != nil {
		return nil, fault.New(fault.Denied, "the root directory could not be opened").Caused(err)
	}
	l.report = &Report{Schema: Schema, Taken: l.began.UTC(), Scanner: env.Version, Anchors: digestOf(q.Anchors)}
	l.describeMachine(top)
	l.clock = proc.Now()
	l.users = readUsers(top)
	l.roots = files.NewRoots(top, l.proc)
	l.marks = marksOf(q.Anchors)
	l.places.all = map[string]container.Place{}
	l.nets = sockets.New(l.proc)
	cacheDir := env.Cache
	if q.NoCache {
		cacheDir = ""
	}
	l.cache = cache.Open(cacheDir, l.cacheKey(), l.report.Machine.BootID, l.began)
	l.modules = modules.New(modules.Settings{Limit: l.limit, Began: l.began, Marks: l.marks, Memory: l.cache, Note: l.note})
	l.catalogue = files.NewCatalogue(ctx, analyser, l.cache, l.limit)
	if q.ByteBudget > 0 {
		l.catalogue.Bound(q.ByteBudget)
	}
	l.files = files.NewTable(l.catalogue, l.limit)
	return l, nil
}

// digestOf identifies an anchor set: part of every cache key.
func digestOf(anchors []elf.Anchor) string {
	b, err := json.Marshal(anchors)
	if err != nil {
		return "" // anchors are plain data; the zero digest is only ever compared with itself
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// cacheKey makes answers of another program build or anchor set incomparable.
func (l *look) cacheKey() string {
	key := l.env.Version + " " + l.report.Anchors
	if self, err := os.Stat("/proc/self/exe"); err == nil {
		key += fmt.Sprintf(" %d %d", self.Size(), self.ModTime().UnixNano())
	}
	return key
}

// running looks at every process.
func (l *look) running() ([]*seen, error) {
	pids := l.q.PIDs
	if len(pids) == 0 {
		var err error
		if pids, err = proc.PIDs(l.proc); err != nil {
			return nil, fault.New(fault.Unsupported, "%s could not be listed: %s", l.proc, jail.Reason(err)).
				Hinted("staunch scan needs a mounted procfs")
		}
	}
	var done atomic.Int64
	all := patience.Each(l.ctx, patience.Crew[*seen]{
		Workers: l.workers, Limit: l.limit, N: len(pids),
		First: func(i int) *seen { return l.readProcess(pids[i]) },
		Late:  func(i int) *seen { return l.hanging(pids[i]) },
		Then: func(r *seen) {
			l.filesOf(r)
			l.progress(Progress{Says: "looking at processes", Done: done.Add(1), Total: int64(len(pids))})
		},
	})
	l.files.Close()
	l.files.Retry(l.proc)
	return slices.DeleteFunc(all, func(r *seen) bool { return r == nil || r.gone }), nil
}

// filesOf looks at the files of a process, each within its own deadline.
func (l *look) filesOf(r *seen) {
	if r.dir == nil {
		return
	}
	if !r.gone {
		l.resolveAll(r)
		l.findModules(r)
	}
	r.dir.Close()
	r.dir = nil
}

// hanging is what is known of a process that gave no answer within its deadline.
func (l *look) hanging(pid int) *seen {
	return &seen{process: Process{PID: pid}, unseen: []Unseen{{
		PID: pid, Name: l.nameOf(pid),
		Reason: fmt.Sprintf("no answer within %v: something holds it (a locked memory map, a dead file server)", l.limit),
	}}}
}

// nameOf asks for the name of a process that hangs; comm does not touch its memory.
func (l *look) nameOf(pid int) string {
	name, _ := patience.Within(l.limit, func() string {
		dir, err := proc.Open(l.proc, pid)
		if err != nil {
			return ""
		}
		defer dir.Close()
		b, err := dir.Read(&proc.Scratch{}, "comm", 4096)
		if err != nil {
			return ""
		}
		return strings.TrimSuffix(string(b), "\n")
	})
	return name
}

// finish counts what was seen and hands the report over.
func (l *look) finish() *Report {
	r := l.report
	r.Sight.ObjectsRead, r.Sight.BytesRead = l.catalogue.Read()
	if note := l.cache.Note(); note != "" {
		l.note(note)
	}
	if slices.ContainsFunc(r.Unseen, func(u Unseen) bool { return strings.Contains(u.Reason, jail.Denied) }) {
		l.note(ownRights(l.proc).whoCould())
	}
	for _, note := range l.nets.Notes() {
		l.note(note)
	}
	l.noteMu.Lock()
	r.Sight.Notes = slices.Compact(slices.Sorted(slices.Values(l.notes)))
	l.noteMu.Unlock()
	r.TookMS = time.Since(l.began).Milliseconds()
	return r
}
