// Package cache remembers between looks what objects hold, who owns paths, and what archives hold, in a file that only its user can touch.
package cache

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"staunch/see/scan/elf"
	"staunch/see/scan/ident"
	"staunch/see/scan/owner"

	"golang.org/x/sys/unix"
)

// Cache remembers the analysis of objects and the owners of paths between looks, in one file of the user's cache directory.
// It is only believed when directory and file belong to this user alone and the checksum fits; otherwise it is ignored, with a note.
type Cache struct {
	dir   string // "" when there is none
	key   string // digest of what makes answers comparable: analyser, anchors
	boot  string
	today uint32
	note  string

	mu       sync.Mutex
	index    map[ident.Key]indexed
	objects  map[string]stored // by object id
	owners   map[string]map[string]owned
	archives map[ident.ArchiveKey]archived
	changed  bool
}

type indexed struct {
	ident.Entry
	day uint32 // day of the Unix epoch on which it was used last
}

// Note says why the cache is not used, or was not; "" when there is nothing to say.
func (c *Cache) Note() string { return c.note }

// stored is an object on tape; it is read only when a process holds it.
type stored string

// owned is what a package database answered for one path, on tape; "" that nobody owns it, which is an answer too.
type owned string

const (
	maxCache  = 256 << 20
	keepDays  = 30
	keepFiles = 4 // of other builds and anchor sets
	cacheHead = "objects-"
)

// Open reads the cache of a directory; every trouble is a note, never an error: a scan without a cache is only slower.
func Open(dir, key, boot string, now time.Time) *Cache {
	c := &Cache{
		key: key, boot: boot, today: uint32(now.Unix() / 86400),
		index: map[ident.Key]indexed{}, objects: map[string]stored{}, owners: map[string]map[string]owned{}, archives: map[ident.ArchiveKey]archived{},
	}
	if dir == "" {
		return c
	}
	if err := ownDir(dir); err != nil {
		c.note = "the cache is not used: " + err.Error()
		return c
	}
	c.dir = dir
	b, err := readOwn(c.file())
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		c.note = "the cache is not used and will be written anew: " + err.Error()
	default:
		if err := c.decode(b); err != nil {
			c.note = "the cache is damaged and will be written anew: " + err.Error()
		}
	}
	return c
}

// ownDir makes the directory, or refuses one that others can write to.
func ownDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: dir, Err: err}
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return fmt.Errorf("%s is not a directory", dir)
	case int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user", dir)
	case st.Mode&0o077 != 0:
		return fmt.Errorf("%s is open to others (mode %04o, wanted 0700)", dir, st.Mode&0o7777)
	}
	return nil
}

// readOwn reads a file that is this user's own, private, and no link.
func readOwn(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink > 1: // none: another look put its own in place meanwhile
		return nil, fmt.Errorf("%s is not a plain file", path)
	case int(st.Uid) != os.Geteuid() || st.Mode&0o077 != 0:
		return nil, fmt.Errorf("%s belongs to another user or is open to others", path)
	case st.Size > maxCache:
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxCache)
	}
	b := make([]byte, st.Size)
	n, err := unix.Pread(fd, b, 0)
	if err != nil || n != len(b) {
		return nil, fmt.Errorf("%s could not be read whole", path)
	}
	return b, nil
}

// Content answers for a key; the checksum must be of the kind that is wanted, where one is wanted in any case.
func (c *Cache) Content(k ident.Key, want ident.Sum) (ident.Entry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.index[k]
	if !ok || r.ID != "" && want.Kind != "" && (!want.Lazy && r.Sum == "" || r.Sum != "" && r.SumKind != want.Kind) {
		return ident.Entry{}, false
	}
	if _, ok := c.objects[r.ID]; !ok && r.ID != "" {
		return ident.Entry{}, false
	}
	if r.day != c.today {
		r.day = c.today
		c.index[k] = r
	}
	return r.Entry, true
}

// Object decodes a cached object.
func (c *Cache) Object(id string) (*elf.Object, error) {
	c.mu.Lock()
	s, ok := c.objects[id]
	c.mu.Unlock()
	if !ok {
		return nil, fs.ErrNotExist
	}
	o := new(elf.Object)
	r := textReader{b: string(s)}
	if (tape{r: &r}).object(o); r.bad || r.b != "" {
		return nil, errDamaged
	}
	return o, nil
}

// Learn takes in what an analysis said of a file; a nil object means that it is no ELF file, so that it need not be opened again.
func (c *Cache) Learn(k ident.Key, e ident.Entry, o *elf.Object, now time.Time) error {
	if c.dir == "" || !k.Keep(now) {
		return nil
	}
	var w writer
	if o != nil {
		tape{w: &w}.object(o)
	} else {
		e = ident.Entry{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.index[k] = indexed{Entry: e, day: c.today}
	if o != nil {
		c.objects[e.ID] = stored(w.b)
	}
	c.changed = true
	return nil
}

// Owned returns what a package database, identified by its stamp, answered for a path before.
func (c *Cache) Owned(stamp, path string) (m *owner.Match, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o, ok := c.owners[stamp][path]
	if !ok || o == "" {
		return nil, ok
	}
	m = new(owner.Match)
	r := textReader{b: string(o)}
	tape{r: &r}.match(m)
	return m, !r.bad && r.b == ""
}

// LearnOwner takes in what a package database answered for a path; nil is an answer too.
func (c *Cache) LearnOwner(stamp, path string, m *owner.Match) {
	if c.dir == "" || stamp == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owners[stamp] == nil {
		c.owners[stamp] = map[string]owned{}
	}
	var w writer
	if m != nil {
		tape{w: &w}.match(m)
	}
	c.owners[stamp][path] = owned(w.b)
	c.changed = true
}

// Save writes the cache if there is news. Of two looks at once the last one to rename wins; both files are whole.
func (c *Cache) Save() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dir == "" || !c.changed {
		return nil
	}
	b, err := c.encode()
	if err != nil || len(b) > maxCache {
		return err
	}
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return err
	}
	tmp := filepath.Join(c.dir, ".new-"+hex.EncodeToString(random[:]))
	if err := writeNew(tmp, b); err != nil {
		return err
	}
	if err := os.Rename(tmp, c.file()); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return c.prune()
}

// file is the cache's file: one for every build and anchor set, so that they do not push each other out.
func (c *Cache) file() string {
	sum := sha256.Sum256([]byte(c.key))
	return filepath.Join(c.dir, cacheHead+hex.EncodeToString(sum[:8]))
}

// prune removes the files of other builds and anchor sets but the youngest, and what an interrupted look left.
func (c *Cache) prune() error {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	type aged struct {
		name string
		at   time.Time
	}
	var ours []aged
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue // another look removed it
		}
		switch {
		case strings.HasPrefix(e.Name(), cacheHead):
			ours = append(ours, aged{e.Name(), info.ModTime()})
		case strings.HasPrefix(e.Name(), ".new-") && time.Since(info.ModTime()) > time.Hour:
			ours = append(ours, aged{e.Name(), time.Time{}})
		}
	}
	slices.SortFunc(ours, func(a, b aged) int { return b.at.Compare(a.at) })
	for i, f := range ours {
		if i < keepFiles && !f.at.IsZero() {
			continue
		}
		if err := os.Remove(filepath.Join(c.dir, f.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func writeNew(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// castagnoli is made once by the library, whoever asks.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// encode writes "staunch objects 3\n", the checksum of the rest, key, boot, and the tables as length-prefixed texts.
func (c *Cache) encode() ([]byte, error) {
	w := writer{b: append([]byte(cacheMagic), 0, 0, 0, 0)}
	w.text(c.key)
	w.text(c.boot)
	used := map[string]bool{}
	keep := 0
	for _, r := range c.index {
		if c.today-r.day <= keepDays {
			keep++
			used[r.ID] = true
		}
	}
	w.number(uint64(keep))
	for k, r := range c.index {
		if c.today-r.day > keepDays {
			continue
		}
		for _, n := range []uint64{k.Dev, k.Ino, uint64(k.Size), uint64(k.Time), k.Mount, uint64(r.day)} {
			w.number(n)
		}
		w.text(r.ID)
		w.text(r.SumKind)
		w.text(r.Sum)
	}
	delete(used, "")
	w.number(uint64(len(used)))
	for id := range used {
		w.text(id)
		w.text(string(c.objects[id]))
	}
	w.number(uint64(len(c.owners)))
	for stamp, paths := range c.owners {
		w.text(stamp)
		w.number(uint64(len(paths)))
		for path, match := range paths {
			w.text(path)
			w.text(string(match))
		}
	}
	archives, err := c.encodeArchives()
	if err != nil {
		return nil, err
	}
	w.text(string(archives))
	binary.LittleEndian.PutUint32(w.b[len(cacheMagic):], crc32.Checksum(w.b[len(cacheMagic)+4:], castagnoli()))
	return w.b, nil
}

const cacheMagic = "staunch objects 3\n"

var errDamaged = errors.New("its content does not fit its checksum or its form")

// decode reads what encode wrote. Another key (other anchors, another analyser) is no damage: the answers are just not comparable.
func (c *Cache) decode(b []byte) error {
	if len(b) < len(cacheMagic)+4 || !bytes.HasPrefix(b, []byte(cacheMagic)) ||
		binary.LittleEndian.Uint32(b[len(cacheMagic):]) != crc32.Checksum(b[len(cacheMagic)+4:], castagnoli()) {
		return errDamaged
	}
	return c.decodeBody(b[len(cacheMagic)+4:])
}

func (c *Cache) decodeBody(b []byte) error {
	r := textReader{b: asText(b)}
	if r.text() != c.key {
		return nil
	}
	sameBoot := r.text() == c.boot
	count := r.count()
	index := make(map[ident.Key]indexed, r.room(count))
	for range count {
		k := ident.Key{Dev: r.number(), Ino: r.number(), Size: int64(r.number()), Time: int64(r.number()), Mount: r.number()}
		x := indexed{day: uint32(r.number()), Entry: ident.Entry{ID: r.text(), SumKind: r.text(), Sum: r.text()}}
		if sameBoot || k.Mount == 0 {
			index[k] = x
		}
	}
	count = r.count()
	objects := make(map[string]stored, r.room(count))
	for range count {
		id := r.text()
		objects[id] = stored(r.text())
	}
	owners := map[string]map[string]owned{}
	for range r.count() {
		stamp := r.text()
		count := r.count()
		paths := make(map[string]owned, r.room(count))
		for range count {
			path := r.text()
			paths[path] = owned(r.text())
		}
		owners[stamp] = paths
	}
	archives, err := decodeArchives([]byte(r.text()), sameBoot)
	if r.bad || err != nil {
		return errDamaged
	}
	c.index, c.objects, c.owners, c.archives = index, objects, owners, archives
	return nil
}
