package testbed

import (
	_ "embed" // the sources of libtally
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

//go:embed tally/tally.c
var tallySource string

//go:embed tally/tally.h
var tallyHeader string

//go:embed tally/tallyd.c
var tallydSource string

// Old and New are the two versions of libtally1 and tallyd-static in the hosts' repository. Old is installed.
const (
	Old = "1.0-1"
	New = "1.1-1"
)

const unitText = `[Unit]
Description=%NAME% (made for tests)
[Service]
ExecStart=/usr/sbin/%NAME% %PORT%
Type=exec
DynamicUser=yes
[Install]
WantedBy=multi-user.target
`

// tally builds the packages once and returns the directory of the repository.
//
//	libtally1      /usr/lib/x86_64-linux-gnu/libtally.so.1
//	tallyd         /usr/sbin/tallyd on port 7001, linked to it dynamically
//	tallyd-static  /usr/sbin/tallyd-static on port 7002, with it linked in
func tally(t testing.TB, cache string) string {
	t.Helper()
	dir := filepath.Join(cache, "repo-"+digest(tallySource, tallyHeader, tallydSource, unitText, "3"))
	once(t, dir, func(part string) {
		must(t, os.MkdirAll(part, 0o755))
		for version, flags := range map[string][]string{Old: nil, New: {"-DTALLY_FIXED"}} {
			buildTally(t, part, version, flags)
		}
		index := exec.Command("dpkg-scanpackages", "--multiversion", ".")
		index.Dir = part
		list, err := index.Output()
		must(t, err)
		must(t, os.WriteFile(filepath.Join(part, "Packages"), list, 0o644))
	})
	return dir
}

func buildTally(t testing.TB, repo, version string, flags []string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"tally.c": tallySource, "tally.h": tallyHeader, "tallyd.c": tallydSource} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	gcc := func(args ...string) {
		cmd := exec.Command("gcc", append([]string{"-O1", "-g0", `-DTALLY_VERSION="` + version + `"`}, append(flags, args...)...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("gcc: %v: %s", err, out)
		}
	}
	gcc("-shared", "-fPIC", "-Wl,-soname,libtally.so.1", "-o", "libtally.so.1", "tally.c")
	gcc("-o", "tallyd", "tallyd.c", "./libtally.so.1")
	gcc("-o", "tallyd-static", "-static", "tallyd.c", "tally.c")
	library := "/usr/lib/x86_64-linux-gnu/libtally.so.1"
	pack(t, repo, dir, deb{"libtally1", version, "libc6", map[string]string{"libtally.so.1": library}, "activate-noawait ldconfig\n"})
	pack(t, repo, dir, deb{"tallyd-static", version, "", map[string]string{"tallyd-static": "/usr/sbin/tallyd-static"}, ""})
	if version == Old {
		pack(t, repo, dir, deb{"tallyd", version, "libtally1", map[string]string{"tallyd": "/usr/sbin/tallyd"}, ""})
	}
}

type deb struct {
	name, version, depends string
	files                  map[string]string // built file to where it goes
	triggers               string
}

// pack makes one Debian package; a program gets a unit of its own name.
func pack(t testing.TB, repo, built string, d deb) {
	t.Helper()
	root := filepath.Join(built, "pack-"+d.name)
	write := func(path, text string) {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o755))
		must(t, os.WriteFile(filepath.Join(root, path), []byte(text), 0o644))
	}
	source := "tally"
	if !strings.HasPrefix(d.name, "libtally") && d.name != "tallyd-static" {
		source = d.name // other vendors' programs and add-ons: their own packages have nothing to do with the library's fix
	}
	control := "Package: " + d.name + "\nSource: " + source + "\nVersion: " + d.version + "\nArchitecture: amd64\nMaintainer: Tests <tests@example.invalid>\nDescription: made for tests\n"
	if d.depends != "" {
		control += "Depends: " + d.depends + "\n"
	}
	write("DEBIAN/control", control)
	if d.triggers != "" {
		write("DEBIAN/triggers", d.triggers)
	}
	for from, to := range d.files {
		content, err := os.ReadFile(filepath.Join(built, from))
		must(t, err)
		write(to, string(content))
		must(t, os.Chmod(filepath.Join(root, to), 0o755))
		if strings.HasPrefix(to, "/usr/sbin/") {
			port := map[string]string{"tallyd": "7001", "tallyd-static": "7002"}[d.name]
			write("lib/systemd/system/"+d.name+".service", strings.NewReplacer("%NAME%", d.name, "%PORT%", port).Replace(unitText))
		}
	}
	run(t, "dpkg-deb", "--root-owner-group", "-Zgzip", "-b", root, repo)
}

func installTally(t testing.TB, root, repo string) {
	t.Helper()
	installDebs(t, root, repo, "libtally1", "tallyd", "tallyd-static")
	chroot(t, root, "systemctl enable tallyd.service tallyd-static.service")
}

// serveRepo serves the repository to the hosts until the test ends.
func (b *bed) serveRepo(t testing.TB) {
	t.Helper()
	listener, err := net.Listen("tcp", Gateway+":0")
	must(t, err)
	b.repo = "http://" + listener.Addr().String() + "/"
	server := &http.Server{Handler: http.FileServer(http.Dir(tally(t, b.cache)))}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		must(t, server.Close())
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// Repo is the URL of the hosts' package repository.
func (h *Host) Repo() string { return h.bed.repo }
