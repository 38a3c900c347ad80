package bounds

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"staunch/testbed/real"

	"golang.org/x/sys/unix"
)

// TestNeverWrittenByAnyName: with every word in the policy, what is forbidden stays so, under each name that it can have.
func TestNeverWrittenByAnyName(t *testing.T) {
	all := Policy{Schema: 1, Allow: Words()}
	dir := t.TempDir()
	for link, to := range map[string]string{"sudo": "/etc/sudoers.d", "up": "/etc", "keys": "/root/.ssh", "cache": "/var/cache/staunch-host", "sys": "/proc/sys"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{
		"/etc/sudoers", "/etc/sudoers.d/x", "/etc/staunch/policy.json", "/etc/staunch/hooks/x", "/etc/staunch/allowed_signers", "/root/.ssh/rc", "/home/a/.ssh/authorized_keys",
		"/srv/authorized_keys2", "/etc/passwd", "/etc/pam.d/sshd", "/etc/ld.so.preload", "/proc/sys/kernel/core_pattern", "/sys/x", "/dev/x", "/var/lib/staunch-host/orders.jsonl",
		"/var/cache/staunch-host/objects/x", "/root/.cache/staunch-host/x", "/home/a/.local/share/staunch/ledger.db", "/etc/systemd/system/staunch-hub.service.d/x.conf",
		"/usr/local/bin/staunch", "/lib/systemd/system/staunch@.service", dir + "/sudo/x", dir + "/up/sudoers.d/y", dir + "/up/passwd", dir + "/keys/x", dir + "/cache/x", dir + "/sys/kernel/x",
	} {
		if real, err := Standard().Guard(all, name, false); err == nil {
			t.Errorf("%s (%s) may be written", name, real)
		}
	}
	for _, name := range []string{"/srv/shop/app.conf", "/etc/nginx/nginx.conf", "/srv/staunchly/x", filepath.Join(dir, "x")} {
		if _, err := Standard().Guard(all, name, false); err != nil && !strings.Contains(err.Error(), "no such file") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNeverWrittenThroughABindMount binds what is forbidden, and directories below it, to other names.
func TestNeverWrittenThroughABindMount(t *testing.T) {
	real.Root(t)
	places, dir := Standard(), t.TempDir()
	places.State = filepath.Join(dir, "state")
	for from, under := range map[string]string{places.State: "", filepath.Join(places.State, "saved/deep"): "", "/proc/sys": "kernel", "/sys/kernel": ""} {
		if !strings.HasPrefix(from, "/proc") && !strings.HasPrefix(from, "/sys") {
			if err := os.MkdirAll(from, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		to := filepath.Join(dir, "bound")
		if err := os.MkdirAll(to, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		_, err := places.Guard(Policy{Schema: 1, Allow: Words()}, filepath.Join(to, under, "x"), false)
		if unmounted := unix.Unmount(to, 0); unmounted != nil {
			t.Fatal(unmounted)
		}
		if err == nil {
			t.Errorf("%s bound elsewhere may be written", from)
		}
	}
}
