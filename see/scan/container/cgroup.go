// Package container tells in which systemd unit and which container a process runs, by its control group and the runtime's own files.
package container

import "strings"

// Place is where a process stands in the control groups: its systemd unit and its container, as far as the path tells.
type Place struct {
	// Unit is the innermost service or scope. A unit of a user's own manager is written "user@1000.service/app.service".
	Unit      string
	Runtime   string // docker, podman, containerd, cri-o, lxc, systemd-nspawn, kubernetes, unknown; "" outside of a container
	Container string // id, or name for lxc and systemd-nspawn
}

// Parse reads the text of a cgroup file, version 1, 2 or both.
func Parse(text string) Place {
	path := groupPath(text)
	p := Place{Unit: unitOf(path)}
	p.Runtime, p.Container = containerOf(path)
	if p.Container == "" { // version 1 may put the container into some hierarchies only
		for line := range strings.Lines(text) {
			if _, _, other := cgroupLine(line); other != path {
				if p.Runtime, p.Container = containerOf(other); p.Container != "" {
					break
				}
			}
		}
	}
	return p
}

// groupPath picks the line that systemd manages: its own hierarchy if that says anything, else version 2's, else the longest.
func groupPath(text string) string {
	var systemd, unified, longest string
	for line := range strings.Lines(text) {
		id, controllers, path := cgroupLine(line)
		switch {
		case controllers == "name=systemd":
			systemd = path
		case id == "0" && controllers == "":
			unified = path
		}
		if len(path) > len(longest) {
			longest = path
		}
	}
	for _, path := range []string{systemd, unified} {
		if len(path) > 1 {
			return path
		}
	}
	return longest
}

// cgroupLine splits "hierarchy:controllers:path".
func cgroupLine(line string) (id, controllers, path string) {
	line = strings.TrimSuffix(line, "\n")
	id, rest, _ := strings.Cut(line, ":")
	controllers, path, _ = strings.Cut(rest, ":")
	return id, controllers, path
}

func unitOf(path string) string {
	unit, user := "", ""
	for part := range strings.SplitSeq(path, "/") {
		if !strings.HasSuffix(part, ".service") && !strings.HasSuffix(part, ".scope") {
			continue
		}
		if strings.HasPrefix(part, "user@") {
			user = part
		}
		unit = part
		if strings.HasPrefix(part, "systemd-nspawn@") || strings.HasPrefix(part, "machine-") {
			break // what follows is the inside of a container with its own systemd
		}
	}
	if user != "" && unit != user {
		return user + "/" + unit
	}
	return unit
}

// scopes are the heads by which runtimes mark a container's own group; "" marks groups that are not the container (monitors).
func scopes() []struct{ head, runtime string } {
	return []struct{ head, runtime string }{
		{"crio-conmon-", ""},
		{"libpod-conmon-", ""},
		{"docker-", "docker"},
		{"libpod-payload-", "podman"},
		{"libpod-", "podman"},
		{"cri-containerd-", "containerd"},
		{"nerdctl-", "containerd"},
		{"crio-", "cri-o"},
		{"machine-", "systemd-nspawn"},
		{"lxc.payload.", "lxc"},
		{"systemd-nspawn@", "systemd-nspawn"},
	}
}

// containerOf finds the innermost container that a path names.
func containerOf(path string) (runtime, id string) {
	above := ""
	for part := range strings.SplitSeq(path, "/") {
		if r, c := containerPart(part, above, path); c != "" {
			runtime, id = r, c
			if r == "systemd-nspawn" || r == "lxc" {
				return runtime, id
			}
		}
		above = part
	}
	return runtime, id
}

func containerPart(part, above, path string) (runtime, id string) {
	name := strings.TrimSuffix(strings.TrimSuffix(part, ".scope"), ".service")
	for _, s := range scopes() {
		if rest, ok := strings.CutPrefix(name, s.head); ok {
			if s.runtime == "" || strings.HasPrefix(rest, "qemu") { // libvirt's virtual machines are machines too
				return "", ""
			}
			if named := s.runtime == "lxc" || s.runtime == "systemd-nspawn"; named && rest != "" || isContainerID(rest) {
				return s.runtime, unescapeUnit(rest, named)
			}
		}
	}
	if above == "lxc" && part != "" {
		return "lxc", part
	}
	// "kubepods-...:cri-containerd:ID", as containerd writes it with the cgroupfs driver
	if at := strings.LastIndexByte(part, ':'); at >= 0 && isContainerID(part[at+1:]) {
		if strings.HasSuffix(part[:at], "cri-containerd") {
			return "containerd", part[at+1:]
		}
		return "unknown", part[at+1:]
	}
	if !isContainerID(part) {
		return "", ""
	}
	switch {
	case above == "docker", strings.Contains(path, "/ecs/"):
		return "docker", part
	case strings.Contains(path, "kubepods"):
		return "kubernetes", part
	case above == "libpod_parent":
		return "podman", part
	case above == "default", above == "k8s.io":
		return "containerd", part
	}
	return "unknown", part
}

// isContainerID accepts the 64 hexadecimal digits that docker, podman, containerd and cri-o make.
func isContainerID(s string) bool {
	if len(s) != 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// unescapeUnit undoes systemd's \x2d in the names of machines.
func unescapeUnit(s string, named bool) string {
	if !named {
		return s
	}
	return strings.ReplaceAll(s, `\x2d`, "-")
}
