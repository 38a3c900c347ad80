package scan

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"staunch/see/scan/container"
	"staunch/see/scan/jail"
	"staunch/see/scan/owner"

	"golang.org/x/sys/unix"
)

// describeMachine says what is looked at and by whom.
func (l *look) describeMachine(top *jail.Root) {
	m := &l.report.Machine
	m.Arch = runtime.GOARCH
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		m.Kernel = cString(uts.Release[:])
		m.Arch = cString(uts.Machine[:])
		l.report.Host = cString(uts.Nodename[:])
	}
	release := owner.ReadRelease(top)
	m.Distro, m.Release = release.ID, release.Version
	if b, err := top.Read("/proc/sys/kernel/random/boot_id", 4096); err == nil {
		m.BootID = strings.TrimSpace(string(b))
	}
	m.User = strconv.Itoa(os.Geteuid())
}

func cString(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}

// users are the names of this machine's users, from /etc/passwd alone: names that a directory server keeps stay numbers.
type users map[int]string

const maxPasswd = 16 << 20

func readUsers(top *jail.Root) users {
	b, err := top.Read("/etc/passwd", maxPasswd)
	if err != nil {
		return nil
	}
	return parseUsers(b)
}

// parseUsers reads "name:password:uid:...".
func parseUsers(b []byte) users {
	u := users{}
	for line := range strings.Lines(string(b)) {
		fields := strings.SplitN(line, ":", 4)
		if len(fields) < 4 || fields[0] == "" {
			continue
		}
		if uid, err := strconv.ParseUint(fields[2], 10, 32); err == nil {
			if _, known := u[int(uid)]; !known {
				u[int(uid)] = fields[0]
			}
		}
	}
	return u
}

func (u users) name(uid int) string {
	if name, ok := u[uid]; ok {
		return name
	}
	return strconv.Itoa(uid)
}

// places remembers what the texts of cgroup files mean: many processes have the same.
type places struct {
	mu  sync.Mutex
	all map[string]container.Place
}

func (p *places) get(text []byte) container.Place {
	p.mu.Lock()
	defer p.mu.Unlock()
	if place, ok := p.all[string(text)]; ok {
		return place
	}
	raw := string(text)
	place := container.Parse(raw)
	p.all[raw] = place
	return place
}
