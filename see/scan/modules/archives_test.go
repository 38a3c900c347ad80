package modules

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

func newTestFinder(dir string, now time.Time) (*Finder, *cache.Cache) {
	c := cache.Open(dir, "key", "boot", now)
	return New(Settings{Began: now, Limit: 200 * time.Millisecond, Memory: c}), c
}

func opening(path string) func() (int, error) {
	return func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) }
}

func TestAJarIsReadOnceInItsLife(t *testing.T) {
	dir := t.TempDir()
	jar, cached := filepath.Join(dir, "a.jar"), filepath.Join(dir, "cache")
	jarFile(t, jar)
	later := time.Now().Add(time.Hour) // a file that was written this moment may change again within the clock's grain
	first, kept := newTestFinder(cached, later)
	got := first.readArchive(jar, opening(jar))
	if got.why != "" || len(got.has.Found) != 1 || got.has.Found[0].Name != "g:a" {
		t.Fatalf("%+v", got)
	}
	if err := kept.Save(); err != nil {
		t.Fatal(err)
	}
	second, again := newTestFinder(cached, later)
	record, known := again.Archive(got.key)
	if !known || len(record.Found) != 1 {
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
	third, _ := newTestFinder(cached, later)
	if anew := third.readArchive(jar, opening(jar)); anew.has.Found[0].Name != "g:a" || anew.key == got.key {
		t.Errorf("after it was written: %+v", anew)
	}
}

func TestAHangingArchiveHoldsNobodyUp(t *testing.T) {
	dir := t.TempDir()
	jar := filepath.Join(dir, "a.jar")
	jarFile(t, jar)
	f, _ := newTestFinder("", time.Now())
	release := make(chan struct{})
	defer close(release)
	stuck, fine, beside := asking{f, &Process{}, nil}, asking{f, &Process{}, nil}, asking{f, &Process{}, nil}
	var all sync.WaitGroup
	all.Go(func() {
		stuck.archiveAt("/dead/b.jar", func() (int, error) { <-release; return -1, unix.EIO })
	})
	var has lang.Archive
	all.Go(func() { has = fine.archiveAt(jar, opening(jar)) })
	all.Wait()
	if len(has.Found) != 1 || len(fine.unread) != 0 {
		t.Errorf("the other one: %+v, %+v", has, fine.unread)
	}
	if len(stuck.unread) != 1 {
		t.Errorf("the hanging one: %+v", stuck.unread)
	}
	beside.archiveAt("/dead/c.jar", func() (int, error) { t.Error("a second one of the dead server was asked"); return -1, unix.EIO })
	if len(beside.unread) != 1 {
		t.Errorf("the one beside it: %+v", beside.unread)
	}
}
