package scan

import (
	"bytes"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// rights are what decides whether the kernel shows other processes to this one.
type rights struct {
	root    bool
	missing []string // of the capabilities that see everything
	inside  bool     // of a user namespace that is not the machine's
	modules string   // security modules that are switched on, "" when that cannot be read
}

// ownRights reads the rights of this process.
func ownRights(procfs string) rights {
	r := rights{root: os.Geteuid() == 0}
	have := effective()
	for _, need := range []struct {
		name string
		any  []uint
	}{
		{"SYS_PTRACE", []uint{unix.CAP_SYS_PTRACE}},
		{"DAC_READ_SEARCH", []uint{unix.CAP_DAC_READ_SEARCH, unix.CAP_DAC_OVERRIDE}},
		{"CHECKPOINT_RESTORE", []uint{unix.CAP_CHECKPOINT_RESTORE, unix.CAP_SYS_ADMIN}},
	} {
		held := false
		for _, c := range need.any {
			held = held || have&(1<<c) != 0
		}
		if !held {
			r.missing = append(r.missing, need.name)
		}
	}
	if b, err := os.ReadFile(procfs + "/self/uid_map"); err == nil {
		r.inside = strings.Join(strings.Fields(string(b)), " ") != "0 0 4294967295"
	}
	if b, err := os.ReadFile("/sys/kernel/security/lsm"); err == nil {
		r.modules = string(bytes.TrimSpace(b))
	}
	return r
}

// effective are this thread's effective capabilities, as bits.
func effective() uint64 {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&head, &data[0]) != nil {
		return 0
	}
	return uint64(data[1].Effective)<<32 | uint64(data[0].Effective)
}

// whoCould says who could have read what was refused, as far as that can be known from here.
func (r rights) whoCould() string {
	switch {
	case len(r.missing) > 0 && !r.root:
		return "processes of other users are read by root, or with the capabilities SYS_PTRACE, DAC_READ_SEARCH and CHECKPOINT_RESTORE"
	case r.inside:
		return "this root is one inside of a user namespace (a container): processes that do not belong to it are read from outside, by root of the machine"
	case len(r.missing) > 0:
		return "this root was left without the capability " + strings.Join(r.missing, ", ") + " (a container or a unit with fewer rights): with it the processes are read"
	}
	says := "this scan has every right that reading a process takes, so a security module refuses it (Landlock, SELinux, AppArmor or a BPF program"
	if r.modules != "" {
		says += "; switched on here: " + r.modules
	}
	return says + "): look from a shell outside of the sandbox that this one, or the process, is in"
}
