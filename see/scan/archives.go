package scan

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	"staunch/see/scan/jail"
	"staunch/see/scan/lang"

	"golang.org/x/sys/unix"
)

// archives remembers what each jar of this look holds. Each is read once, whoever asks, and one at a time, so that nested ones never fill
// the memory; one whose file system hangs gives its turn away with its deadline.
type archives struct {
	mu   sync.Mutex
	all  map[archiveKey]*archive
	turn chan struct{}
}

type archiveKey struct {
	content contentKey
	name    string
}

// archive is what one archive told; read is closed when it is known.
type archive struct {
	key   archiveKey
	read  chan struct{}
	has   lang.Archive
	why   string // what of it could not be read
	quiet bool   // no file, or a directory: a class path may name what is not there
}

// archivePatience is how many single deadlines one archive may take: it is read and inflated, not only opened.
const archivePatience = 5

// archiveAt reads one archive, once per look; what could not be read of it is said.
func (l *look) archiveAt(r *seen, name string, open func() (int, error)) lang.Archive {
	shown := displayName(name)
	l.archives.turn <- struct{}{}
	got, ok := within(archivePatience*l.limit, func() *archive { return l.readArchive(shown, open) })
	<-l.archives.turn
	if !ok {
		got = &archive{why: "no answer within " + (archivePatience * l.limit).Round(time.Second).String()}
	}
	if got.why != "" && !got.quiet {
		r.unseen = append(r.unseen, Unseen{PID: r.process.PID, Name: r.process.Name, Reason: "archive not read in full: " + shown + ": " + got.why})
	}
	return got.has
}

// readArchive answers from this look or from the cache, and reads only what neither knows.
func (l *look) readArchive(name string, open func() (int, error)) *archive {
	fd, err := open()
	if err != nil {
		return &archive{why: reason(err), quiet: errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)}
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	st, err := jail.StatFD(fd, "")
	if err != nil {
		return &archive{why: reason(err)}
	}
	if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFREG {
		return &archive{why: "not a regular file", quiet: kind == unix.S_IFDIR}
	}
	key := archiveKey{content: contentKeyOf(&st), name: name}
	l.archives.mu.Lock()
	got, known := l.archives.all[key]
	if !known {
		got = &archive{key: key, read: make(chan struct{})}
		l.archives.all[key] = got
	}
	l.archives.mu.Unlock()
	if known {
		<-got.read // the caller's deadline holds for this too
		return got
	}
	defer close(got.read)
	if has, ok := l.cache.archive(key); ok {
		got.has = has
		return got
	}
	if got.has, err = lang.Jar(f, int64(st.Size), name, l.marks, lang.DefaultLimits()); err != nil {
		got.why, got.quiet = err.Error(), !lang.IsJar(name)
	} else {
		l.cache.learnArchive(key, got.has, l.began)
	}
	return got
}

// archived is a line of the cache: what an archive held that could be read whole.
type archived struct {
	Dev, Ino   uint64
	Size, Time int64
	Mount      uint64 `json:",omitempty"`
	Name       string
	Day        uint32
	Has        lang.Archive
}

func (c *cache) archive(k archiveKey) (lang.Archive, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.archives[k]
	if ok && a.Day != c.today {
		a.Day = c.today
		c.archives[k] = a
	}
	return a.Has, ok
}

func (c *cache) learnArchive(k archiveKey, has lang.Archive, now time.Time) {
	if c.dir == "" || !k.content.keep(now) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.archives[k] = archived{
		Dev: k.content.dev, Ino: k.content.ino, Size: k.content.size, Time: k.content.ctime, Mount: k.content.mount, Name: k.name, Day: c.today, Has: has,
	}
	c.changed = true
}

// encodeArchives keeps what was used lately.
func (c *cache) encodeArchives() ([]byte, error) {
	var list []archived
	for _, a := range c.archives {
		if c.today-a.Day <= keepDays {
			list = append(list, a)
		}
	}
	return json.Marshal(list)
}

func decodeArchives(b []byte, sameBoot bool) (map[archiveKey]archived, error) {
	var list []archived
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, errDamaged
	}
	all := make(map[archiveKey]archived, len(list))
	for _, a := range list {
		if sameBoot || a.Mount == 0 {
			all[archiveKey{contentKey{dev: a.Dev, ino: a.Ino, size: a.Size, ctime: a.Time, mount: a.Mount}, a.Name}] = a
		}
	}
	return all, nil
}
