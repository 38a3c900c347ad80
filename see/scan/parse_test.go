package scan

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"staunch/see/scan/elf"
	"staunch/see/scan/lang"

	"golang.org/x/sys/unix"
)

func TestUnitsTimersAndCronNameWhatTheyStart(t *testing.T) {
	got := unitPrograms("[Service]\nExecStartPre=-/bin/mkdir -p /run/x\nExecStart=@/usr/sbin/nginx nginx -g \\\n  'daemon off;'\nEnvironment=A=/no/exec\n")
	want := []string{"/bin/mkdir", "/run/x", "/usr/sbin/nginx"}
	if len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("%q", got)
	}
	if got := timerTarget("backup", "[Timer]\nOnCalendar=daily\nUnit=other.service\n"); got != "other.service" {
		t.Errorf("%q", got)
	}
	if got := timerTarget("backup", ""); got != "backup.service" {
		t.Errorf("%q", got)
	}
}

func TestUsersOfPasswd(t *testing.T) {
	u := parseUsers([]byte("root:x:0:0::/:/bin/sh\ntoor:x:0:0::/:/bin/sh\nbroken\nx:y:notanumber:\n"))
	if u.name(0) != "root" || u.name(77) != "77" {
		t.Errorf("%v", u)
	}
}

// filled is a cache with one object, written to a directory.
func filled(t *testing.T, dir string) (contentKey, *cache) {
	t.Helper()
	now := time.Now()
	c := openCache(dir, "key", "boot", now)
	x := &content{
		key: contentKey{dev: 8 << 32, ino: 5, size: 100, ctime: now.Add(-time.Hour).UnixNano()},
		id:  "abc", sum: "def", want: checksum{kind: "md5"}, object: &elf.Object{ID: "abc", Soname: "libx.so"},
	}
	if err := c.learn(x, now); err != nil {
		t.Fatal(err)
	}
	if err := c.save(); err != nil {
		t.Fatal(err)
	}
	return x.key, c
}

func TestCacheAnswersForTheSameContentOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	key, _ := filled(t, dir)
	c := openCache(dir, "key", "boot", time.Now())
	if r, ok := c.content(key, checksum{kind: "md5"}); !ok || r.id != "abc" || r.sum != "def" || c.note != "" {
		t.Errorf("%+v %v %q", r, ok, c.note)
	}
	if o, err := c.object("abc"); err != nil || o.Soname != "libx.so" {
		t.Errorf("%+v %v", o, err)
	}
	other := key
	other.ctime++
	for _, miss := range []contentKey{other, {}} {
		if _, ok := c.content(miss, checksum{kind: "md5"}); ok {
			t.Errorf("%+v was answered", miss)
		}
	}
	if _, ok := c.content(key, checksum{kind: "sha256"}); ok {
		t.Error("a checksum of another kind was answered")
	}
	if _, ok := openCache(dir, "other anchors", "boot", time.Now()).content(key, checksum{kind: "md5"}); ok {
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
		"cut":  func(_, file string) error { return os.Truncate(file, 40) },
		"pipe": func(_, file string) error { _ = os.Remove(file); return unix.Mkfifo(file, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "cache")
			key, c := filled(t, dir)
			if err := spoil(dir, c.file()); err != nil {
				t.Fatal(err)
			}
			again := openCache(dir, "key", "boot", time.Now())
			if _, ok := again.content(key, checksum{kind: "md5"}); ok || again.note == "" {
				t.Errorf("answered %v, note %q", ok, again.note)
			}
		})
	}
}

func TestYoungAndNamelessContentIsNotKept(t *testing.T) {
	now := time.Now()
	for name, k := range map[string]contentKey{
		"changed just now":                    {dev: 8 << 32, ctime: now.UnixNano()},
		"a device number that is given again": {dev: 52, ctime: now.Add(-time.Hour).UnixNano()},
	} {
		if k.keep(now) {
			t.Errorf("%s is kept", name)
		}
	}
}

func FuzzCache(f *testing.F) {
	c := openCache("", "key", "boot", time.Now())
	c.index[contentKey{dev: 1, ino: 2}] = indexed{id: "x", day: c.today}
	c.objects["x"] = stored{json: []byte(`{"id":"x"}`)}
	c.archives[archiveKey{name: "a.jar"}] = archived{Name: "a.jar", Day: c.today, Has: lang.Archive{ClassPath: []string{"/b.jar"}}}
	b, err := c.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[len(cacheMagic)+4:])
	f.Fuzz(func(t *testing.T, body []byte) {
		w := &cache{key: "key", boot: "boot"}
		if err := w.decodeBody(body); err != nil && w.index != nil {
			t.Error("a damaged cache left something behind")
		}
	})
}

func FuzzUnits(f *testing.F) {
	f.Add("ExecStart=-/bin/x \\\n y\nUnit=z")
	f.Fuzz(func(_ *testing.T, text string) {
		unitPrograms(text)
		timerTarget("x", text)
		parseUsers([]byte(text))
	})
}

func TestIdleReadsLast(t *testing.T) {
	// on a thread of its own, which is thrown away: the test binary goes on at its usual priority
	done := make(chan int)
	go func() {
		runtime.LockOSThread()
		if _, _, errno := unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, 0, ioprioIdle); errno != 0 {
			done <- -int(errno)
			return
		}
		got, _, _ := unix.Syscall(unix.SYS_IOPRIO_GET, ioprioWhoProcess, 0, 0)
		done <- int(got)
	}()
	if got := <-done; got != ioprioIdle {
		t.Errorf("priority %#x, want %#x", got, ioprioIdle)
	}
}
