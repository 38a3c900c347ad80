// Package feed fetches advisories from where they are published and keeps them so that a scan loads only what it needs.
package feed

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"staunch/fault"
	"staunch/see/advisory"
	"staunch/see/scan/elf"
)

// Store is a directory of fetched and added advisories. Readers need no lock: every file is swapped in whole.
type Store struct{ dir string }

// Open names a store's directory; it need not exist yet.
func Open(dir string) *Store { return &Store{dir} }

// maxAdded bounds a file that a person adds, in bytes.
const maxAdded = 64 << 20

func (s *Store) path(source string) string { return filepath.Join(s.dir, source+".set") }

func (s *Store) open(source string) (*setFile, error) {
	if source == "epss" {
		e, err := openEPSS(s.path(source))
		if err != nil {
			return nil, err
		}
		return &setFile{header: e.header, close: func() { e.f.Close() }}, nil
	}
	return openSet(s.path(source))
}

func (s *Store) lock() (func(), error) {
	f, err := os.OpenFile(filepath.Join(s.dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fault.New(fault.Denied, "%v", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fault.New(fault.Conflict, "another update is under way in %s", s.dir)
	}
	return func() { f.Close() }, nil
}

// sweep removes what updates that were killed left behind; only called under the lock.
func (s *Store) sweep() {
	for _, pattern := range []string{".scratch-*", ".download-*", ".new-*"} {
		left, err := filepath.Glob(filepath.Join(s.dir, pattern))
		if err != nil {
			continue
		}
		for _, path := range left {
			os.Remove(path) // what cannot be removed now is tried again by the next update
		}
	}
}

// Load reads what speaks about the keys, and everything on the advisories with these ids; and all that was added by hand.
// Broken files are left out and named in the second result: a scan goes on with what is whole.
func (s *Store) Load(keys []advisory.Key, ids ...string) ([]advisory.Set, []error) {
	var sets []advisory.Set
	var broken []error
	for _, src := range Sources() {
		if src.Kind != "osv" {
			continue
		}
		set, err := s.loadSource(src.Name, keys, ids)
		switch {
		case err == nil:
			sets = append(sets, set)
		case !errors.Is(err, fs.ErrNotExist):
			broken = append(broken, fault.New(fault.Corrupt, "the advisories of %s could not be read: %v", src.Name, err).
				Hinted("staunch advisories update --only %s --force", src.Name))
		}
	}
	added, more := s.loadAdded()
	return append(sets, added...), append(broken, more...)
}

func (s *Store) loadSource(name string, keys []advisory.Key, ids []string) (advisory.Set, error) {
	f, err := openSet(s.path(name))
	if err != nil {
		return advisory.Set{}, err
	}
	defer f.close()
	set := advisory.Set{Date: f.Date, Ecosystems: f.Ecosystems}
	for _, key := range keys {
		if _, holds := f.Ecosystems[key.Ecosystem]; !holds {
			continue
		}
		list, err := f.about(key)
		if err != nil {
			return set, err
		}
		set.Advisories = append(set.Advisories, list...)
	}
	for _, id := range ids {
		list, err := f.named(id)
		if err != nil {
			return set, err
		}
		for _, a := range list {
			if !holdsAll(set.Advisories, a) {
				set.Advisories = append(set.Advisories, a)
			}
		}
	}
	return set, nil
}

// holdsAll tells whether an advisory was already loaded by its key.
func holdsAll(list []advisory.Advisory, a advisory.Advisory) bool {
	return len(a.Affects) > 0 && slices.ContainsFunc(list, func(b advisory.Advisory) bool {
		return b.ID == a.ID && len(b.Affects) > 0 && b.Affects[0].Ecosystem == a.Affects[0].Ecosystem && b.Affects[0].Name == a.Affects[0].Name
	})
}

// Mark notes on every advisory of a catalogue whether it is known to be exploited, and its EPSS score.
func (s *Store) Mark(c *advisory.Catalogue) {
	exploited := map[string]bool{}
	if f, err := openSet(s.path("kev")); err == nil {
		for _, id := range f.Exploited {
			exploited[id] = true
		}
		f.close()
	}
	scores, err := openEPSS(s.path("epss"))
	if err == nil {
		defer scores.f.Close()
	}
	for _, a := range c.All() {
		a.KnownExploited = a.KnownExploited || exploited[a.ID]
		if scores != nil {
			if p := scores.of(a.ID); p > 0 {
				a.EPSS = p
			}
		}
	}
}

// Held is one source that a store holds.
type Held struct {
	Source     string    `json:"source"`
	URL        string    `json:"url,omitempty"`
	Records    int       `json:"records"`
	Date       time.Time `json:"date"`
	Fetched    time.Time `json:"fetched,omitzero"`
	Ecosystems []string  `json:"ecosystems,omitempty"`
	Bytes      int64     `json:"bytes"` // on disk
	Broken     string    `json:"broken,omitempty"`
}

// List says what is held.
func (s *Store) List() []Held {
	var list []Held
	for _, src := range Sources() {
		info, err := os.Stat(s.path(src.Name))
		if err != nil {
			continue
		}
		h := Held{Source: src.Name, Bytes: info.Size()}
		if f, err := s.open(src.Name); err != nil {
			h.Broken = err.Error()
		} else {
			h.URL, h.Records, h.Date, h.Fetched = f.URL, f.Records, f.Date, f.Fetched
			for eco := range f.Ecosystems {
				h.Ecosystems = append(h.Ecosystems, eco)
			}
			slices.Sort(h.Ecosystems)
			f.close()
		}
		list = append(list, h)
	}
	added, _ := filepath.Glob(filepath.Join(s.dir, "added", "*.json")) // the pattern is constant
	for _, path := range added {
		h := Held{Source: "added:" + strings.TrimSuffix(filepath.Base(path), ".json")}
		if set, err := readAdded(path); err != nil {
			h.Broken = err.Error()
		} else {
			h.Records, h.Date = len(set.Advisories), set.Date
		}
		if info, err := os.Stat(path); err == nil {
			h.Bytes = info.Size()
		}
		list = append(list, h)
	}
	return list
}

func (s *Store) loadAdded() ([]advisory.Set, []error) {
	paths, err := filepath.Glob(filepath.Join(s.dir, "added", "*.json"))
	if err != nil {
		return nil, []error{err}
	}
	var sets []advisory.Set
	var broken []error
	for _, path := range paths {
		set, err := readAdded(path)
		if err != nil {
			broken = append(broken, fault.New(fault.Corrupt, "%s: %v", path, err))
			continue
		}
		set.Date = time.Time{} // one file does not make the whole catalogue younger
		sets = append(sets, set)
	}
	return sets, broken
}

func readAdded(path string) (advisory.Set, error) {
	f, err := os.Open(path)
	if err != nil {
		return advisory.Set{}, err
	}
	defer f.Close()
	return Read(f)
}

// Add takes advisories from a file: OSV 1.x (one or a list), CVE-JSON 5.x, or staunch's own form with rules (docs/advisories.md).
// It replaces what was added under the same name before.
func (s *Store) Add(r io.Reader, name string, now time.Time) (advisory.Set, error) {
	set, err := Read(r)
	if err != nil {
		return set, err
	}
	if set.Date.IsZero() {
		set.Date = now.UTC()
	}
	dir := filepath.Join(s.dir, "added")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return set, fault.New(fault.Denied, "%v", err)
	}
	b, err := json.Marshal(set)
	if err != nil {
		return set, err
	}
	fresh, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return set, fault.New(fault.Denied, "%v", err)
	}
	defer os.Remove(fresh.Name())
	defer fresh.Close()
	if _, err := fresh.Write(b); err != nil {
		return set, fault.New(fault.Full, "%v", err)
	}
	if err := errors.Join(fresh.Chmod(0o644), fresh.Sync()); err != nil {
		return set, fault.New(fault.Full, "%v", err)
	}
	return set, os.Rename(fresh.Name(), filepath.Join(dir, plainName(name)+".json"))
}

// plainName makes a file name that is safe anywhere.
func plainName(name string) string {
	name = strings.TrimSuffix(filepath.Base(name), ".json")
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, name)
}

// Read reads advisories in any of the forms that Add takes, and refuses rules that cannot be asked.
func Read(r io.Reader) (advisory.Set, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxAdded+1))
	if err != nil {
		return advisory.Set{}, fault.New(fault.Corrupt, "%v", err)
	}
	if len(b) > maxAdded {
		return advisory.Set{}, fault.New(fault.Corrupt, "more than %d MB", maxAdded>>20)
	}
	set, err := readAny(bytes.TrimSpace(b))
	if err != nil {
		return set, err
	}
	if len(set.Advisories) == 0 {
		return set, fault.New(fault.Corrupt, "holds no advisory that staunch understands").Hinted("OSV 1.x, CVE-JSON 5.x, or {\"advisories\": [...]}: docs/advisories.md")
	}
	if _, err := elf.New(advisory.NewCatalogue(set).Anchors(), elf.Options{}); err != nil {
		return set, fault.New(fault.Corrupt, "a rule cannot be asked: %v", err)
	}
	return set, nil
}

func readAny(b []byte) (advisory.Set, error) {
	if bytes.HasPrefix(b, []byte("[")) {
		return readList(b)
	}
	var shape struct {
		DataType   string          `json:"dataType"`
		Advisories json.RawMessage `json:"advisories"`
	}
	if err := json.Unmarshal(b, &shape); err != nil {
		return advisory.Set{}, fault.New(fault.Corrupt, "not JSON: %v", err)
	}
	switch {
	case shape.Advisories != nil:
		var set advisory.Set
		if err := json.Unmarshal(b, &set); err != nil {
			return set, fault.New(fault.Corrupt, "not advisories in staunch's form: %v", err)
		}
		return set, checkOwn(set)
	case shape.DataType != "":
		a, err := advisory.ReadCVE(bytes.NewReader(b))
		return advisory.Set{Advisories: []advisory.Advisory{a}}, err
	}
	list, err := advisory.ReadOSV(bytes.NewReader(b))
	return advisory.Set{Advisories: list}, err
}

func readList(b []byte) (advisory.Set, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return advisory.Set{}, fault.New(fault.Corrupt, "not JSON: %v", err)
	}
	var set advisory.Set
	for i, one := range raw {
		more, err := readAny(bytes.TrimSpace(one))
		if err != nil {
			return set, fault.New(fault.Corrupt, "record %d: %v", i+1, err)
		}
		set.Advisories = append(set.Advisories, more.Advisories...)
	}
	return set, nil
}

func checkOwn(set advisory.Set) error {
	for i, a := range set.Advisories {
		if !advisory.SoundID(a.ID) {
			return fault.New(fault.Corrupt, "advisory %d has no usable id", i+1)
		}
		if len(a.Affects) == 0 && a.Rule == nil {
			return fault.New(fault.Corrupt, "%s affects nothing and has no rule", a.ID)
		}
	}
	return nil
}
