package testbed

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The base image. A change of these lines builds a new one.
const (
	suite   = "bookworm"
	mirror  = "http://deb.debian.org/debian"
	include = "systemd,systemd-sysv,dbus,openssh-server,iproute2,ca-certificates,sudo,procps"
	prepare = `set -eu
rm -f /etc/ssh/ssh_host_*
id=1001
for user in op pass plain; do useradd -m -u $id -s /bin/bash $user; id=$((id+1)); done
echo 'op ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/op
echo 'pass ALL=(ALL) ALL' >/etc/sudoers.d/pass
chmod 440 /etc/sudoers.d/op /etc/sudoers.d/pass
echo 'pass:` + Password + `' | chpasswd
printf 'UseDNS no\nPasswordAuthentication no\n' >/etc/ssh/sshd_config.d/testbed.conf
systemctl mask systemd-timesyncd.service systemd-resolved.service apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer >/dev/null 2>&1
`
)

// users of the image besides root, in the order of their ids.
var users = [...]string{"op", "pass", "plain"}

const firstUID = 1001

// images finds or builds the read-only layers that all hosts share: Debian, then the asked packages, then libtally, then the modules linked to it.
func (b *bed) images(t testing.TB) {
	t.Helper()
	base := filepath.Join(b.cache, "base-"+digest(suite, include, prepare))
	b.lower = []string{base}
	once(t, base, func(dir string) {
		run(t, "debootstrap", "--variant=minbase", "--include="+include, suite, dir, mirror)
		chroot(t, dir, prepare)
	})
	if len(b.packages) > 0 {
		slices.Sort(b.packages)
		b.layer(t, "packages", digest(append([]string{base}, b.packages...)...), func(root string) { installDebian(t, root, b.packages) })
	}
	if !b.bare {
		debs := tally(t, b.cache)
		b.layer(t, "tally", digest(append(b.lower, debs)...), func(root string) { installTally(t, root, debs) })
	}
	if b.modules {
		debs := b.moduleDebs(t)
		b.layer(t, "modules", digest(append(b.lower, debs)...), func(root string) { installDebs(t, root, debs, "libnginx-mod-http-tally", "lua-tally") })
	}
}

// layer finds or makes the files that fill adds to the layers so far.
func (b *bed) layer(t testing.TB, name, sum string, fill func(root string)) {
	t.Helper()
	layer := filepath.Join(b.cache, name+"-"+sum)
	once(t, layer, func(dir string) {
		work, root := dir+".work", dir+".root"
		for _, d := range []string{dir, work, root} {
			must(t, os.MkdirAll(d, 0o755))
		}
		defer func() { must(t, errors.Join(os.RemoveAll(work), os.RemoveAll(root))) }()
		mount(t, b.lower, dir, work, root)
		defer unmount(root)
		fill(root)
	})
	b.lower = append([]string{layer}, b.lower...)
}

// once makes a directory completely or not at all.
func once(t testing.TB, dir string, fill func(dir string)) {
	t.Helper()
	if _, err := os.Stat(dir); err == nil {
		return
	}
	began := time.Now()
	part := dir + ".part"
	unmount(part + ".root")
	must(t, os.RemoveAll(part))
	fill(part)
	must(t, os.Rename(part, dir))
	t.Logf("testbed: made %s in %v, kept for later runs", filepath.Base(dir), time.Since(began).Round(time.Second))
}

func installDebian(t testing.TB, root string, packages []string) {
	t.Helper()
	resolv, err := os.ReadFile("/etc/resolv.conf")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(root, "etc/resolv.conf"), resolv, 0o644))
	must(t, os.WriteFile(filepath.Join(root, "etc/apt/sources.list"), []byte("deb "+mirror+" "+suite+" main\n"), 0o644))
	must(t, os.WriteFile(filepath.Join(root, "usr/sbin/policy-rc.d"), []byte("#!/bin/sh\nexit 101\n"), 0o755))
	chroot(t, root, `set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends -o Dpkg::Options::=--force-unsafe-io `+strings.Join(packages, " ")+`
apt-get clean
rm -rf /usr/sbin/policy-rc.d /var/lib/apt/lists/*`)
}

func chroot(t testing.TB, root, script string) {
	t.Helper()
	cmd := exec.Command("chroot", root, "/bin/sh", "-c", script)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C"}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("preparing the image: %v: %s", err, out)
	}
}

func mount(t testing.TB, lower []string, upper, work, root string) {
	t.Helper()
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", strings.Join(lower, ":"), upper, work)
	if err := syscall.Mount("st-"+filepath.Base(filepath.Dir(root)), root, "overlay", 0, options); err != nil {
		t.Fatalf("mounting an overlay on %s: %v", root, err)
	}
}

// unmount is for a path that may not be mounted; a busy one is left to the kernel to finish.
func unmount(root string) {
	if err := syscall.Unmount(root, 0); errors.Is(err, syscall.EBUSY) {
		_ = syscall.Unmount(root, syscall.MNT_DETACH) // the last holder is a dying guest
	}
}

func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:8])
}
