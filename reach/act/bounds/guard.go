package bounds

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"staunch/reach/act/files"

	"golang.org/x/sys/unix"
)

// Word is the policy's explicit permission for something delicate. Words are part of hosts' policies: never rename one.
type Word string

// The delicate things.
const (
	WordBus        Word = "dbus"       // the message bus and systemd itself
	WordLogin      Word = "logind"     // sessions
	WordNetwork    Word = "network"    // interfaces, routes, names, packet filters
	WordContainers Word = "containers" // engines that run others' workloads
	WordSSH        Word = "ssh"        // our own way in
	WordRootCode   Word = "root_code"  // places whose files run as root: units, cron, package hooks, system programs
)

// Words lists them.
func Words() []Word {
	return []Word{WordBus, WordLogin, WordNetwork, WordContainers, WordSSH, WordRootCode}
}

// WordOfUnit tells which word a unit needs; "" none.
func WordOfUnit(unit string) Word {
	name, _, _ := strings.Cut(unit, ".")
	name, _, _ = strings.Cut(name, "@")
	for word, names := range map[Word][]string{
		WordBus:   {"dbus", "dbus-broker", "init", "-", "system", "systemd-journald", "systemd-udevd", "polkit"},
		WordLogin: {"systemd-logind", "user", "session", "getty", "console-getty", "serial-getty", "user-runtime-dir", "systemd-user-sessions"},
		WordNetwork: {
			"systemd-networkd", "systemd-resolved", "NetworkManager", "networking", "network", "network-online", "wpa_supplicant", "dhcpcd", "ifup", "connman",
			"nftables", "iptables", "ip6tables", "netfilter-persistent", "firewalld", "ufw", "shorewall", "wg-quick", "openvpn", "openvpn-client", "openvpn-server",
			"strongswan", "ipsec", "tailscaled", "frr", "bird", "keepalived",
		},
		WordContainers: {"docker", "containerd", "podman", "crio", "crio-conmon", "kubelet", "k3s", "lxd", "incus", "lxc", "libvirtd", "virtqemud", "machine", "machines"},
		WordSSH:        {"ssh", "sshd", "dropbear", "sslh", "teleport"},
	} {
		if slices.Contains(names, name) {
			return word
		}
	}
	if slices.Contains([]string{"basic", "multi-user", "graphical", "sysinit", "default", "rescue", "emergency", "shutdown", "reboot", "poweroff", "halt", "kexec", "local-fs", "remote-fs"}, name) {
		return WordBus
	}
	return ""
}

// WordOfPackage tells which word changing a package needs.
func WordOfPackage(name string) Word {
	name, _, _ = strings.Cut(name, ":")
	for word, names := range map[Word][]string{
		WordBus:        {"dbus", "dbus-daemon", "dbus-broker", "systemd", "systemd-sysv", "init", "sysvinit-core", "polkitd", "polkit"},
		WordLogin:      {"libpam-systemd", "login", "util-linux-login"},
		WordNetwork:    {"ifupdown", "netplan.io", "network-manager", "NetworkManager", "systemd-resolved", "nftables", "iptables", "ufw", "firewalld", "dhcpcd", "isc-dhcp-client", "wireguard-tools", "openvpn", "keepalived"},
		WordContainers: {"docker.io", "docker-ce", "containerd", "containerd.io", "runc", "podman", "cri-o", "kubelet", "lxd", "incus", "lxc", "libvirt-daemon"},
		WordSSH:        {"openssh-server", "openssh-sftp-server", "dropbear", "dropbear-bin"},
	} {
		if slices.Contains(names, name) {
			return word
		}
	}
	return ""
}

// forbidden are the paths that no order ever writes, whatever the policy says.
func (p Places) forbidden() []string {
	return []string{
		filepath.Dir(p.Policy), p.Policy, p.Signers, p.Hooks, p.State,
		"/etc/sudoers", "/etc/sudoers.d", "/etc/sudo.conf", "/etc/sudo_logsrvd.conf", "/etc/doas.conf", "/etc/doas.d",
		"/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow", "/etc/subuid", "/etc/subgid", "/etc/pam.d", "/etc/pam.conf", "/etc/security",
		"/etc/polkit-1", "/usr/share/polkit-1", "/etc/ld.so.preload", "/var/lib/staunch", "/usr/lib/staunch", "/usr/local/lib/staunch",
		"/etc/ssh/authorized_keys", "/etc/ssh/authorized_keys.d", "/proc", "/sys", "/dev", "/var/cache/staunch-host", "/var/cache/staunch",
	}
}

// forbiddenName finds what is forbidden wherever it lies: login keys, and whatever is called ours: programs, units and what is dropped
// in beside them, caches (a forged one would make a scan say "clean"), the ledger.
func forbiddenName(p string) bool {
	base := path.Base(p)
	if strings.HasPrefix(base, "authorized_keys") || base == "allowed_signers" {
		return true
	}
	return slices.ContainsFunc(strings.Split(p, "/"), func(name string) bool {
		return name == ".ssh" || name == "staunch" || strings.HasPrefix(name, "staunch-") || strings.HasPrefix(name, "staunch@") || strings.HasPrefix(name, "staunch.")
	})
}

// kernels tells file systems whose files are the kernel's own, wherever they are mounted.
func kernels(real string) bool {
	var s unix.Statfs_t
	for ; unix.Statfs(real, &s) != nil; real = path.Dir(real) {
		if real == "/" || real == "." {
			return false
		}
	}
	return slices.Contains([]int64{
		unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC,
		unix.SECURITYFS_MAGIC, unix.SELINUX_MAGIC, unix.BPF_FS_MAGIC, unix.EFIVARFS_MAGIC, unix.DEVPTS_SUPER_MAGIC,
	}, int64(s.Type)) //nolint:unconvert // the type differs between architectures
}

// maxWalked bounds the directories below forbidden ones whose identities are taken.
const maxWalked = 2000

// identities are what is forbidden under any other name: each forbidden path, the directories below it, and people's login keys.
func (p Places) identities() map[files.Identity]string {
	mine := map[files.Identity]string{}
	add := func(path string) {
		if id, there := files.Same(path); there && path != "/" {
			mine[id] = path
		}
	}
	for _, f := range append(p.forbidden(), logins()...) {
		add(f)
		if slices.Contains([]string{"/proc", "/sys", "/dev"}, f) { // kernels() knows those
			continue
		}
		_ = filepath.WalkDir(f, func(path string, d fs.DirEntry, err error) error { // what cannot be walked is not below any other name either
			if err == nil && d.IsDir() && len(mine) < maxWalked {
				add(path)
			}
			return nil
		})
	}
	return mine
}

// logins are the directories with people's login keys.
func logins() []string {
	text, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return []string{"/root/.ssh"}
	}
	var dirs []string
	for line := range strings.Lines(string(text)) {
		if f := strings.Split(line, ":"); len(f) > 5 && path.IsAbs(f[5]) && f[5] != "/" {
			dirs = append(dirs, path.Join(f[5], ".ssh"), path.Join(f[5], ".cache/staunch-host"))
		}
	}
	return dirs
}

// WordOfPath tells which word writing a path needs.
func WordOfPath(p string) Word {
	for _, rule := range []struct {
		word Word
		dirs []string
	}{
		{WordSSH, []string{"/etc/ssh", "/etc/systemd/system/ssh.service.d", "/etc/systemd/system/sshd.service.d", "/etc/default/ssh"}},
		{WordBus, []string{"/etc/dbus-1", "/usr/share/dbus-1", "/etc/systemd/system.conf", "/etc/systemd/system.conf.d"}},
		{WordLogin, []string{"/etc/systemd/logind.conf", "/etc/systemd/logind.conf.d", "/etc/login.defs", "/etc/nologin", "/etc/securetty"}},
		{WordNetwork, []string{
			"/etc/network", "/etc/netplan", "/etc/systemd/network", "/etc/NetworkManager", "/etc/resolv.conf", "/etc/hosts", "/etc/hosts.allow", "/etc/hosts.deny",
			"/etc/nsswitch.conf", "/etc/nftables.conf", "/etc/nftables", "/etc/iptables", "/etc/ufw", "/etc/firewalld", "/etc/wireguard", "/etc/sysctl.conf",
			"/etc/sysctl.d", "/etc/systemd/resolved.conf", "/etc/systemd/resolved.conf.d",
		}},
		{WordContainers, []string{"/etc/docker", "/etc/containerd", "/etc/containers", "/etc/crio", "/etc/kubernetes", "/etc/cni", "/var/lib/docker", "/var/lib/containerd", "/var/lib/kubelet"}},
		{WordRootCode, []string{
			"/etc/cron.d", "/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly", "/etc/cron.monthly", "/etc/crontab", "/etc/anacrontab", "/var/spool/cron", "/var/spool/at",
			"/etc/systemd", "/usr/lib/systemd", "/lib/systemd", "/run/systemd", "/etc/init.d", "/etc/rc.local", "/etc/rc0.d", "/etc/rc1.d", "/etc/rc2.d", "/etc/rc3.d", "/etc/rc4.d",
			"/etc/rc5.d", "/etc/rc6.d", "/etc/rcS.d", "/etc/inittab", "/etc/profile", "/etc/profile.d", "/etc/bash.bashrc", "/etc/environment", "/etc/apt", "/etc/dpkg", "/etc/yum.repos.d",
			"/etc/dnf", "/etc/zypp", "/etc/apk", "/etc/udev", "/usr/lib/udev", "/etc/modprobe.d", "/etc/modules", "/etc/modules-load.d", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
			"/etc/logrotate.d", "/etc/logrotate.conf", "/etc/kernel", "/etc/initramfs-tools", "/etc/grub.d", "/etc/default", "/etc/alternatives", "/etc/needrestart", "/etc/binfmt.d",
			"/etc/tmpfiles.d", "/boot", "/root", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/libx32",
			"/usr/local/bin", "/usr/local/sbin", "/usr/local/lib", "/var/lib/dpkg", "/var/lib/rpm", "/var/lib/apt", "/var/lib/systemd", "/usr/share/dpkg",
		}},
	} {
		if slices.ContainsFunc(rule.dirs, func(dir string) bool { return files.Inside(p, dir) }) {
			return rule.word
		}
	}
	return ""
}

// LibraryDirs are where InstallLib may put a library without the word root_code.
func LibraryDirs() []string {
	return []string{"/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64", "/opt"}
}

// Guard decides whether an order may write a path and returns the real path. It looks at the name as given, at the name with
// all links resolved, and at the identity of every directory on the way, which bind mounts and hard links do not change.
func (p Places) Guard(policy Policy, name string, library bool) (real string, err error) {
	real, err = files.Real(name)
	if err != nil {
		return "", err
	}
	for _, path := range []string{name, real} {
		if err := p.guardName(policy, path, library); err != nil {
			return "", err
		}
	}
	if kernels(real) {
		return "", denied("%s is the kernel's own: never written", name)
	}
	mine := p.identities()
	for _, id := range files.Identities(real) {
		if f, hit := mine[id]; hit {
			return "", denied("%s is %s by another name: never written", name, f)
		}
	}
	return real, policy.directory(real)
}

func (p Places) guardName(policy Policy, name string, library bool) error {
	for _, f := range p.forbidden() {
		if files.Inside(name, f) {
			return denied("%s is never written by an order", name)
		}
	}
	if forbiddenName(name) {
		return denied("%s is never written by an order", name)
	}
	word := WordOfPath(name)
	if library && word == WordRootCode && slices.ContainsFunc(LibraryDirs(), func(d string) bool { return files.Inside(name, d) }) &&
		!strings.Contains(name, "/systemd/") && !strings.Contains(name, "/security/") && !strings.Contains(name, "/udev/") {
		return nil
	}
	return policy.Word(word, name)
}
