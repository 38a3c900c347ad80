package ssh

import (
	"bufio"
	"context"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"staunch/fault"
	"staunch/reach/fleet"
)

// system is a login by the machine's own ssh program, for what our client cannot do: ProxyCommand, GSSAPI, hardware keys.
type system struct {
	program string
	args    []string
	who     string
}

func (s *system) user() string { return s.who }
func (s *system) close() error { return nil }

// viaSystem makes a transport of the ssh program. Host keys are checked by ssh itself, strictly.
func (d *Dialer) viaSystem(h fleet.Host, t target) (*system, error) {
	if d.Program == "" {
		return nil, fault.New(fault.Unsupported, "%s needs %s, and there is no ssh program here", h.Name, orElse(t.needsOwn, "the ssh program"))
	}
	args := []string{
		"-T", "-x", "-a", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ClearAllForwardings=yes", "-o", "ForwardAgent=no",
		"-o", "PermitLocalCommand=no", "-o", "RequestTTY=no", "-o", "RemoteCommand=none", "-o", "LogLevel=ERROR",
		"-o", "ConnectTimeout=" + strconv.Itoa(int(t.timeout/time.Second)),
	}
	if d.ConfigFile != "" {
		args = append(args, "-F", d.ConfigFile)
	}
	if h.Address != "" {
		args = append(args, "-o", "HostName="+h.Address)
	}
	if h.User != "" {
		args = append(args, "-l", h.User)
	}
	if h.Port != 0 {
		args = append(args, "-p", strconv.Itoa(h.Port))
	}
	return &system{program: d.Program, args: append(args, "--", h.Name), who: t.user}, nil
}

func (s *system) start(_ context.Context, command string) (*line, error) {
	cmd := exec.Command(s.program, append(append([]string(nil), s.args...), command)...)
	errs := newTail()
	cmd.Stderr = errs
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fault.New(fault.Bug, "%v", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fault.New(fault.Bug, "%v", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fault.New(fault.Unsupported, "ssh does not start: %v", err)
	}
	finish := sync.OnceValue(func() error {
		_ = in.Close() // what is closed already is closed
		kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		return cmd.Wait()
	})
	return &line{in: in, out: bufio.NewReaderSize(out, 64<<10), errs: errs, finish: finish}, nil
}
