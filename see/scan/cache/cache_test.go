package cache

import (
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"testing/quick"
	"time"

	"staunch/see/scan/elf"
	"staunch/see/scan/ident"
	"staunch/see/scan/lang"
	"staunch/see/scan/owner"

	"golang.org/x/sys/unix"
)

// filled is a cache with one object, written to a directory.
func filled(t *testing.T, dir string) (ident.Key, *Cache) {
	t.Helper()
	now := time.Now()
	c := Open(dir, "key", "boot", now)
	key := ident.Key{Dev: 8 << 32, Ino: 5, Size: 100, Time: now.Add(-time.Hour).UnixNano()}
	if err := c.Learn(key, ident.Entry{ID: "abc", Sum: "def", SumKind: "md5"}, &elf.Object{ID: "abc", Soname: "libx.so"}, now); err != nil {
		t.Fatal(err)
	}
	if err := c.Save(); err != nil {
		t.Fatal(err)
	}
	return key, c
}

func TestCacheAnswersForTheSameContentOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	key, _ := filled(t, dir)
	c := Open(dir, "key", "boot", time.Now())
	if r, ok := c.Content(key, ident.Sum{Kind: "md5"}); !ok || r.ID != "abc" || r.Sum != "def" || c.note != "" {
		t.Errorf("%+v %v %q", r, ok, c.note)
	}
	if o, err := c.Object("abc"); err != nil || o.Soname != "libx.so" {
		t.Errorf("%+v %v", o, err)
	}
	other := key
	other.Time++
	for _, miss := range []ident.Key{other, {}} {
		if _, ok := c.Content(miss, ident.Sum{Kind: "md5"}); ok {
			t.Errorf("%+v was answered", miss)
		}
	}
	if _, ok := c.Content(key, ident.Sum{Kind: "sha256"}); ok {
		t.Error("a checksum of another kind was answered")
	}
	if _, ok := Open(dir, "other anchors", "boot", time.Now()).Content(key, ident.Sum{Kind: "md5"}); ok {
		t.Error("another anchor set was answered")
	}
}

func TestCacheThatOthersCanTouchIsNotBelieved(t *testing.T) {
	for name, spoil := range map[string]func(dir, file string) error{
		"open directory": func(dir, _ string) error { return os.Chmod(dir, 0o755) },
		"open file":      func(_, file string) error { return os.Chmod(file, 0o666) },
		"link": func(_, file string) error {
			if err := os.Rename(file, file+".x"); err != nil {
				return err
			}
			return os.Symlink(file+".x", file)
		},
		"second name": func(_, file string) error { return os.Link(file, file+".x") },
		"flipped bit": func(_, file string) error {
			b, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			b[len(b)-3] ^= 1
			return os.WriteFile(file, b, 0o600)
		},
		"cut":                      func(_, file string) error { return os.Truncate(file, 40) },
		"another user's file":      func(_, file string) error { return giveAway(t, file) },
		"another user's directory": func(dir, _ string) error { return giveAway(t, dir) },
		"pipe":                     func(_, file string) error { _ = os.Remove(file); return unix.Mkfifo(file, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "cache")
			key, c := filled(t, dir)
			if err := spoil(dir, c.file()); err != nil {
				t.Fatal(err)
			}
			again := Open(dir, "key", "boot", time.Now())
			if _, ok := again.Content(key, ident.Sum{Kind: "md5"}); ok || again.note == "" {
				t.Errorf("answered %v, note %q", ok, again.note)
			}
		})
	}
}

// giveAway gives a file to another user, as one that was put there by somebody else.
func giveAway(t *testing.T, path string) error {
	t.Helper()
	if os.Geteuid() != 0 {
		return os.Chmod(path, 0o777) // only root can give files away: at least it is not private
	}
	return os.Chown(path, 65534, 65534)
}

func TestTwoLooksAtOnceLeaveAWholeCache(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	key, _ := filled(t, dir)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				c := Open(dir, "key", "boot", time.Now())
				if _, ok := c.Content(key, ident.Sum{Kind: "md5"}); !ok || c.Note() != "" {
					t.Errorf("answered %v, note %q", ok, c.Note())
					return
				}
				c.LearnOwner("stamp", "/usr/bin/x", nil) // news, so that it is written
				if err := c.Save(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

func TestYoungAndNamelessContentIsNotKept(t *testing.T) {
	now := time.Now()
	for name, k := range map[string]ident.Key{
		"changed just now":                    {Dev: 8 << 32, Time: now.UnixNano()},
		"a device number that is given again": {Dev: 52, Time: now.Add(-time.Hour).UnixNano()},
	} {
		if k.Keep(now) {
			t.Errorf("%s is kept", name)
		}
	}
}

// TestEverythingComesBackFromTape fills every field there is, so that one that is added later cannot be forgotten.
func TestEverythingComesBackFromTape(t *testing.T) {
	back := func(o elf.Object, m owner.Match) bool {
		var w writer
		tape{w: &w}.object(&o)
		tape{w: &w}.match(&m)
		var gotO elf.Object
		var gotM owner.Match
		r := textReader{b: string(w.b)}
		tape{r: &r}.object(&gotO)
		tape{r: &r}.match(&gotM)
		if r.bad || r.b != "" || !reflect.DeepEqual(gotO, o) || !reflect.DeepEqual(gotM, m) {
			t.Errorf("%+v comes back as %+v\n%+v as %+v", o, gotO, m, gotM)
			return false
		}
		return true
	}
	if err := quick.Check(back, nil); err != nil {
		t.Error(err)
	}
	back(elf.Object{}, owner.Match{})
	back(elf.Object{Components: []elf.Component{}, Needed: []string{}}, owner.Match{})
}

func FuzzCache(f *testing.F) {
	c := Open("", "key", "boot", time.Now())
	c.index[ident.Key{Dev: 1, Ino: 2}] = indexed{Entry: ident.Entry{ID: "x"}, day: c.today}
	var w writer
	tape{w: &w}.object(&elf.Object{ID: "x", Components: []elf.Component{{Name: "y"}}})
	c.objects["x"] = stored(w.b)
	c.owners["stamp"] = map[string]owned{"/bin/x": ""}
	c.archives[ident.ArchiveKey{Name: "a.jar"}] = archived{Name: "a.jar", Day: c.today, Has: lang.Archive{ClassPath: []string{"/b.jar"}}}
	b, err := c.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[len(cacheMagic)+4:])
	f.Fuzz(func(t *testing.T, body []byte) {
		w := &Cache{key: "key", boot: "boot"}
		if err := w.decodeBody(body); err != nil && w.index != nil {
			t.Error("a damaged cache left something behind")
		}
		for id := range w.objects {
			if o, err := w.Object(id); (o == nil) == (err == nil) {
				t.Errorf("%v and %v", o, err)
			}
		}
		for stamp, paths := range w.owners {
			for path := range paths {
				w.Owned(stamp, path)
			}
		}
	})
}
