package real

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Unpacked is the directory of a Debian package that is unpacked and not set up, because its set-up wants more of a machine than a test
// needs (inn2 wants a domain name). What the package depends on stands in testbed/packages.
func Unpacked(t testing.TB, pkg string) string {
	t.Helper()
	Slow(t)
	apt, dpkg := Program(t, "apt-get"), Program(t, "dpkg")
	dir := filepath.Join(Cache(t), "deb", pkg)
	unlock := lock(t, dir)
	defer unlock()
	root := filepath.Join(dir, "root")
	if _, err := os.Stat(root); err == nil {
		return root
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	fetch := exec.Command(apt, "-o", "APT::Sandbox::User=root", "download", pkg)
	fetch.Dir = dir
	if out, err := fetch.CombinedOutput(); err != nil {
		Missing(t, "apt-get download %s: %v\n%s", pkg, err, out)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no package in %s: %v", pkg, dir, err)
	}
	part := root + ".part"
	if out, err := exec.Command(dpkg, "-x", files[len(files)-1], part).CombinedOutput(); err != nil {
		t.Fatalf("dpkg -x %s: %v\n%s", files[0], err, out)
	}
	if err := os.Rename(part, root); err != nil {
		t.Fatal(err)
	}
	return root
}
