package feed

import (
	"archive/zip"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"staunch/fault"
	"staunch/see/advisory"
)

// Options say how to update.
type Options struct {
	Mirror string   // base address or file:// with the layout of docs/advisories.md; "" asks the sources themselves
	Only   []string // names of sources; empty: all
	Force  bool     // fetch also what did not change
	Client *http.Client
	Now    func() time.Time
	// Progress is told what is under way; it may be nil.
	Progress func(source, says string, done, total int64)
}

// Result is what became of one source.
type Result struct {
	Source  string        `json:"source"`
	State   string        `json:"state"` // updated, unchanged, failed
	Records int           `json:"records"`
	Skipped int           `json:"skipped,omitempty"`
	Bytes   int64         `json:"bytes,omitempty"`
	Date    time.Time     `json:"date,omitzero"`
	Error   *fault.Error  `json:"error,omitempty"`
	Took    time.Duration `json:"-"`
}

type update struct {
	dir      string
	mirror   string
	force    bool
	client   *http.Client
	now      func() time.Time
	progress func(source, says string, done, total int64)
}

// Update fetches sources one after the other and swaps each in whole. A source that fails keeps its old set; the others go on.
// An error means that nothing could be tried.
func (s *Store) Update(ctx context.Context, o Options) ([]Result, error) {
	list, err := chosen(o.Only)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, fault.New(fault.Denied, "%v", err)
	}
	unlock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	s.sweep()
	u := &update{dir: s.dir, mirror: o.Mirror, force: o.Force, client: o.Client, now: o.Now, progress: o.Progress}
	if u.progress == nil {
		u.progress = func(string, string, int64, int64) {}
	}
	var results []Result
	for _, src := range list {
		began := time.Now()
		r := u.one(ctx, s, src)
		r.Took = time.Since(began)
		results = append(results, r)
		if ctx.Err() != nil {
			break
		}
	}
	return results, nil
}

func chosen(only []string) ([]Source, error) {
	all := Sources()
	if len(only) == 0 {
		return all, nil
	}
	var list []Source
	for _, name := range only {
		i := slices.IndexFunc(all, func(s Source) bool { return s.Name == name })
		if i < 0 {
			var names []string
			for _, s := range all {
				names = append(names, s.Name)
			}
			return nil, fault.New(fault.Usage, "there is no source %q", name).Hinted("known: %s", strings.Join(names, ", "))
		}
		list = append(list, all[i])
	}
	return list, nil
}

func (u *update) one(ctx context.Context, s *Store, src Source) Result {
	r := Result{Source: src.Name, State: "failed"}
	old, _ := s.open(src.Name)
	etag := ""
	if old != nil {
		etag = old.ETag
		r.Records, r.Date = old.Records, old.Date
		old.close()
		if old.URL != src.at(u.mirror) || u.force {
			etag = ""
		}
	}
	got, err := u.fetch(ctx, src.at(u.mirror), etag, func(done, total int64) { u.progress(src.Name, "downloading "+src.Name, done>>20, total>>20) })
	if err != nil {
		r.Error = fault.From(err, fault.Unreachable)
		return r
	}
	if got.unchanged {
		r.State = "unchanged"
		return r
	}
	defer os.Remove(got.path)
	h := header{Source: src.Name, URL: src.at(u.mirror), ETag: got.etag, SHA256: got.sha256, Date: got.date.UTC(), Fetched: u.now().UTC()}
	if err := u.swap(ctx, s, src, got, &h); err != nil {
		r.Error = fault.From(err, fault.Corrupt)
		return r
	}
	return Result{Source: src.Name, State: "updated", Records: h.Records, Skipped: h.Skipped, Bytes: got.size, Date: h.Date}
}

// swap builds the new set beside the old one and renames it over: readers see the old one or the new one, never half of one.
func (u *update) swap(ctx context.Context, s *Store, src Source, got *fetched, h *header) error {
	fresh := filepath.Join(u.dir, ".new-"+src.Name)
	if err := os.Remove(fresh); err != nil && !os.IsNotExist(err) {
		return err
	}
	defer os.Remove(fresh)
	var err error
	switch src.Kind {
	case "kev":
		err = buildKEV(got.path, fresh, u.dir, h)
	case "epss":
		err = buildEPSS(got.path, fresh, h)
	default:
		err = u.buildOSV(ctx, src, got.path, fresh, h)
	}
	if err != nil {
		return err
	}
	if err := os.Rename(fresh, s.path(src.Name)); err != nil {
		return err
	}
	return syncDir(u.dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (u *update) buildOSV(ctx context.Context, src Source, download, fresh string, h *header) error {
	f, err := os.Open(download)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	z, err := zip.NewReader(f, info.Size())
	if err != nil {
		return fault.New(fault.Corrupt, "the export is no whole archive: %v", err)
	}
	b, err := newBuilder(u.dir)
	if err != nil {
		return err
	}
	defer b.close()
	h.Ecosystems = map[string]time.Time{}
	for i, f := range z.File {
		if err := ctx.Err(); err != nil {
			return fault.New(fault.Timeout, "stopped before the end")
		}
		if i%500 == 0 {
			u.progress(src.Name, "reading "+src.Name, int64(i), int64(len(z.File)))
		}
		if !strings.HasSuffix(f.Name, ".json") {
			continue
		}
		list, err := readRecord(f)
		if err != nil {
			h.Skipped++
			continue
		}
		h.Records++
		if err := keepAll(list, src, b, h); err != nil {
			return err
		}
	}
	if h.Records == 0 || h.Skipped*100 > h.Records {
		return fault.New(fault.Corrupt, "%d of %d records of the export could not be read: it is not taken", h.Skipped, h.Records+h.Skipped)
	}
	return b.write(fresh, *h)
}

// readRecord reads one record; zip verifies its checksum as it is read to its end.
func readRecord(f *zip.File) ([]advisory.Advisory, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return advisory.ReadOSV(r)
}

func keepAll(list []advisory.Advisory, src Source, b *builder, h *header) error {
	for _, a := range list {
		if repeats(a, src.Notices) {
			continue
		}
		a.Source = "osv:" + src.Name
		for _, aff := range a.Affects {
			h.Ecosystems[aff.Ecosystem] = h.Date
		}
		if err := b.add(a); err != nil {
			return err
		}
	}
	return nil
}

// repeats tells a notice (DSA-1234) whose CVEs have records of their own, which know single CVEs more exactly.
func repeats(a advisory.Advisory, notices []string) bool {
	if !strings.HasPrefix(a.ID, "CVE-") {
		return false
	}
	for _, alias := range a.Aliases {
		for _, prefix := range notices {
			if strings.HasPrefix(alias, prefix) {
				return true
			}
		}
	}
	return false
}
