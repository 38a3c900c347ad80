package scan

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"staunch/see/scan/cache"
	"staunch/see/scan/lang"

	"golang.org/x/sys/unix"
)

func jarFile(t *testing.T, path string) {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create("META-INF/maven/g/a/pom.properties")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("groupId=g\nartifactId=a\nversion=1\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func newArchiveLook(dir string, now time.Time) *look {
	l := &look{began: now, limit: 200 * time.Millisecond, cache: cache.Open(dir, "key", "boot", now)}
	l.archives.all, l.archives.turn = map[cache.ArchiveKey]*archive{}, make(chan struct{}, 1)
	return l
}

func opening(path string) func() (int, error) {
	return func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) }
}

func TestAJarIsReadOnceInItsLife(t *testing.T) {
	dir := t.TempDir()
	jar, cached := filepath.Join(dir, "a.jar"), filepath.Join(dir, "cache")
	jarFile(t, jar)
	later := time.Now().Add(time.Hour) // a file that was written this moment may change again within the clock's grain
	first := newArchiveLook(cached, later)
	got := first.readArchive(jar, opening(jar))
	if got.why != "" || len(got.has.Found) != 1 || got.has.Found[0].Name != "g:a" {
		t.Fatalf("%+v", got)
	}
	if err := first.cache.Save(); err != nil {
		t.Fatal(err)
	}
	second := newArchiveLook(cached, later)
	record, kept := second.cache.Archive(got.key)
	if !kept || len(record.Found) != 1 {
		t.Fatalf("not kept: %+v", record)
	}
	record.Found[0].Name = "from:cache"
	if again := second.readArchive(jar, opening(jar)); len(again.has.Found) != 1 || again.has.Found[0].Name != "from:cache" {
		t.Errorf("it was read again: %+v", again)
	}
	if other := second.readArchive(filepath.Join(dir, "other-2.0.jar"), opening(jar)); other.has.Found[0].Name != "g:a" {
		t.Errorf("another name for it was answered from the cache: %+v", other)
	}
	jarFile(t, jar)
	if anew := newArchiveLook(cached, later).readArchive(jar, opening(jar)); anew.has.Found[0].Name != "g:a" || anew.key == got.key {
		t.Errorf("after it was written: %+v", anew)
	}
}

func TestAHangingArchiveHoldsNobodyUp(t *testing.T) {
	dir := t.TempDir()
	jar := filepath.Join(dir, "a.jar")
	jarFile(t, jar)
	l := newArchiveLook("", time.Now())
	release := make(chan struct{})
	defer close(release)
	var stuck, fine seen
	var all sync.WaitGroup
	all.Go(func() {
		l.archiveAt(&stuck, "/dead/b.jar", func() (int, error) { <-release; return -1, unix.EIO })
	})
	var has lang.Archive
	all.Go(func() { has = l.archiveAt(&fine, jar, opening(jar)) })
	all.Wait()
	if len(has.Found) != 1 || len(fine.unseen) != 0 {
		t.Errorf("the other one: %+v, %+v", has, fine.unseen)
	}
	if len(stuck.unseen) != 1 {
		t.Errorf("the hanging one: %+v", stuck.unseen)
	}
	var beside seen
	l.archiveAt(&beside, "/dead/c.jar", func() (int, error) { t.Error("a second one of the dead server was asked"); return -1, unix.EIO })
	if len(beside.unseen) != 1 {
		t.Errorf("the one beside it: %+v", beside.unseen)
	}
}
