package verdict

import (
	"fmt"
	"path"
	"strings"

	"staunch/see/advisory"
	"staunch/see/scan"
	"staunch/see/scan/elf"
	"staunch/see/scan/owner"
)

// remedy is what cures a subject, before it is known who runs it.
type remedy struct {
	kind    FixKind
	pkg     string // binary package
	version string // first good one
	data    string // whose data says that there is no fix
}

func (j *judge) remedy(s *subject, a *advisory.Advisory, v verdict) remedy {
	switch {
	case good(v.state):
		return remedy{kind: FixNone}
	case v.state == Stale || v.reason == overwritten || v.reason == oldPackage:
		return remedy{kind: FixRestart}
	case v.reason == notLoaded:
		return remedy{kind: FixLoad}
	case v.state == Unknown:
		return remedy{kind: FixLook}
	}
	key, packaged := s.packageKeyOf(a)
	if packaged && s.own && s.patched() {
		if fixed := j.fixFor(a, key, sourceVersion(s.pkg)); fixed != "" {
			return remedy{kind: FixUpgrade, pkg: s.pkg.Name, version: fixed}
		}
		if answer, _ := j.covers(a, key, sourceVersion(s.pkg)); answer == advisory.Yes {
			return remedy{kind: FixOff, pkg: s.pkg.Name, data: advisory.Title(key.Ecosystem)}
		}
		return remedy{kind: FixUpgrade, pkg: s.pkg.Name}
	}
	if packaged && s.own && !owner.Vendored(s.path) && s.pkg.Intact == string(elf.No) {
		return remedy{kind: FixReplace, pkg: s.pkg.Name, version: j.fixFor(a, key, sourceVersion(s.pkg))}
	}
	return remedy{kind: FixReplace, version: j.fixFor(a, s.upstreamKey(), s.version)}
}

// forProcess says it for one process: what to change, then what to restart.
func (r remedy) forProcess(p *scan.Process, s *subject) Fix {
	f := Fix{Kind: r.kind, Package: r.pkg, Version: r.version, Unit: p.Unit, Restart: manner(p)}
	switch r.kind {
	case FixNone:
		return Fix{Kind: FixNone, What: "nothing to do"}
	case FixLoad:
		return Fix{Kind: FixLoad, What: "load the distribution's data: staunch advisories update"}
	case FixLook:
		return Fix{Kind: FixLook, What: "ask the vendor, or look at the code: nothing that is loaded decides it"}
	}
	if r.kind == FixOff {
		f.What = fmt.Sprintf("no fixed %s in %s's data yet: %s", r.pkg, r.data, off(p, f.Restart))
		return f
	}
	if p.Container != nil && r.kind != FixRestart {
		f.Kind = FixImage
		f.What = fmt.Sprintf("rebuild the image %s with %s, then roll the workload out", imageName(p.Container), r.goal(s))
		return f
	}
	switch again := restart(p, f.Restart); r.kind {
	case FixRestart:
		f.What = again
	case FixUpgrade:
		f.What = r.upgrade() + ", then " + again
	default:
		f.What = r.replace(s) + ", then " + again
	}
	return f
}

// forDormant says it for something that can start.
func (r remedy) forDormant(d *scan.Dormant, s *subject) Fix {
	f := Fix{Kind: r.kind, Package: r.pkg, Version: r.version, Unit: d.Unit}
	switch r.kind {
	case FixNone:
		f.What = "nothing to do"
	case FixUpgrade:
		f.What = r.upgrade() + " before it is started"
	case FixOff:
		f.What = fmt.Sprintf("no fixed %s in %s's data yet: do not start it, or remove it", r.pkg, r.data)
	case FixReplace:
		f.What = r.replace(s) + " before it is started, or remove it"
	case FixLoad:
		f.What = "load the distribution's data: staunch advisories update"
	default:
		f.Kind, f.What = FixLook, "ask the vendor, or look at the code: nothing that is loaded decides it"
	}
	return f
}

// forGroup says it for all processes of a grouped finding.
func (r remedy) forGroup(s *subject, why reason) Fix {
	switch why {
	case notLoaded:
		return Fix{Kind: FixLoad, What: "load the distribution's data: staunch advisories update"}
	case oldPackage, overwritten:
		return Fix{Kind: FixRestart, What: "restart what still runs the former " + path.Base(s.path) + " (staunch scan --advisory ID lists the units)"}
	}
	return Fix{Kind: FixLook, What: "find out which " + s.component.Name + " is in " + s.path + ": its vendor knows"}
}

func (r remedy) upgrade() string {
	if r.version == "" {
		return "upgrade " + r.pkg + " to a version with the fix"
	}
	return "upgrade " + r.pkg + " to " + r.version + " or later"
}

// goal is what the new image must hold.
func (r remedy) goal(s *subject) string {
	switch {
	case r.pkg != "" && r.version != "":
		return r.pkg + " " + r.version + " or later"
	case r.version != "":
		return s.component.Name + " " + r.version + " or later"
	}
	return "a fixed " + s.component.Name
}

func (r remedy) replace(s *subject) string {
	if r.pkg != "" {
		goal := ""
		if r.version != "" {
			goal = " in " + r.version + " or later"
		}
		return fmt.Sprintf("find out who replaced %s, which is not the file of %s any more, and reinstall %s%s", s.path, r.pkg, r.pkg, goal)
	}
	goal := "a fixed " + s.component.Name
	if r.version != "" {
		goal = s.component.Name + " " + r.version + " or later"
	}
	switch {
	case s.component.Linkage == elf.Static && s.pkg != nil:
		return fmt.Sprintf("get a build of %s with %s from its vendor (it is linked into %s)", s.pkg.Name, goal, s.path)
	case s.component.Linkage == elf.Static:
		return fmt.Sprintf("rebuild or replace %s with %s (it is linked in statically)", s.path, goal)
	case s.component.Linkage == elf.Bundled:
		return fmt.Sprintf("replace %s by %s", s.path, goal)
	}
	return fmt.Sprintf("replace %s by %s (no package owns it)", s.path, goal)
}

func imageName(c *scan.Container) string {
	if c.Image != "" {
		return c.Image
	}
	return "of container " + c.ID[:min(12, len(c.ID))]
}

// manner tells how a process may be restarted.
func manner(p *scan.Process) string {
	switch {
	case p.Container != nil:
		return "workload"
	case p.PID == 1 || delicate(p.Unit):
		return "reboot"
	case strings.HasSuffix(p.Unit, ".service"):
		return "unit"
	}
	return "process"
}

func restart(p *scan.Process, how string) string {
	switch how {
	case "workload":
		return "restart the container " + imageName(p.Container)
	case "reboot":
		return fmt.Sprintf("reboot, or a named person restarts %s: doing it casually can cut everybody off", who(p))
	case "unit":
		return "restart " + p.Unit
	}
	if strings.HasPrefix(p.Unit, "session-") || strings.HasPrefix(p.Unit, "user@") {
		return fmt.Sprintf("end %s (pid %d) or its session", p.Name, p.PID)
	}
	return fmt.Sprintf("restart %s (pid %d): no unit does it", p.Name, p.PID)
}

// off says how to live without a fix; what carries the machine itself is never to be switched off.
func off(p *scan.Process, how string) string {
	switch how {
	case "workload":
		return "switch the container " + imageName(p.Container) + " off, or take it off the network; once it ships, rebuild the image and roll the workload out"
	case "reboot":
		return "the machine needs " + who(p) + ", so take the machine off the network, or let a named person decide to wait, until it ships"
	}
	name := p.Unit
	if how != "unit" {
		name = fmt.Sprintf("%s (pid %d)", p.Name, p.PID)
	}
	return "switch " + name + " off, or take it off the network, until it ships"
}

func who(p *scan.Process) string {
	if p.Unit != "" && p.PID != 1 {
		return p.Unit
	}
	return p.Name
}

// delicate units take sessions, the network, disks or all containers with them when they are restarted.
func delicate(unit string) bool {
	name := strings.TrimSuffix(unit, ".service")
	name, _, _ = strings.Cut(name, "@")
	switch name {
	case "dbus", "dbus-broker", "systemd-logind", "elogind", "init.scope", "systemd-udevd", "udev",
		"NetworkManager", "systemd-networkd", "networking", "wpa_supplicant", "iwd", "connman", "network",
		"containerd", "docker", "crio", "cri-o", "podman", "kubelet", "k3s", "lxd", "incus", "snapd",
		"libvirtd", "virtqemud", "multipathd", "iscsid", "open-iscsi", "lvm2-monitor", "zfs-zed", "rpcbind", "nfs-server",
		"gdm", "gdm3", "lightdm", "sddm", "display-manager", "xrdp", "polkit", "firewalld":
		return true
	}
	return false
}
