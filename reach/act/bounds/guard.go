package bounds

import (
	"path"
	"path/filepath"
	"slices"
	"strings"

	"staunch/reach/act/files"
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
		"/etc/ssh/authorized_keys", "/etc/ssh/authorized_keys.d", "/proc", "/sys", "/dev",
	}
}

// forbiddenName finds what is forbidden wherever it lies: login keys and our own programs and units.
func forbiddenName(p string) bool {
	base := path.Base(p)
	return strings.Contains(p+"/", "/.ssh/") || strings.HasPrefix(base, "authorized_keys") || base == "allowed_signers" ||
		base == "staunch" || strings.HasPrefix(base, "staunch-") || strings.HasPrefix(base, "staunch@") || strings.HasPrefix(base, "staunch.")
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
	mine := map[files.Identity]string{}
	for _, f := range p.forbidden() {
		if id, there := files.Same(f); there && f != "/" {
			mine[id] = f
		}
	}
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
