package bench

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"staunch/fault"
	"staunch/tame"

	"golang.org/x/sys/unix"
)

// Command is one program run without a shell, in a clean environment.
type Command struct {
	Argv   []string
	Env    []string // besides PATH and LC_ALL
	Stdin  []byte
	Output int64 // bytes of output kept, from the end; 0: 1 MB
	Root   string
}

// mostOutput is how much a program may write before it is ended, in bytes.
const mostOutput = 64 << 20

// Run runs a program to its end in its own process group and returns its last lines, cleaned. When the time is over the whole
// group is asked to end and then killed. A program that ends badly is fault.Conflict with its last line. Its output goes to an
// anonymous file and not into a pipe, so that a package manager does not die of our own death.
func (b *Bench) Run(ctx context.Context, c Command) ([]string, error) {
	path, err := LookPath(c.Root, c.Argv[0])
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("staunch-output", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fault.New(fault.Full, "no memory for the output of %s: %v", c.Argv[0], err)
	}
	output := os.NewFile(uintptr(fd), "output")
	defer output.Close()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	cmd := exec.CommandContext(ctx, path, c.Argv[1:]...)
	cmd.Env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/root", "TERM=dumb"}, c.Env...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = "/", bytes.NewReader(c.Stdin), output, output
	if len(c.Stdin) == 0 {
		cmd.Stdin = nil
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Chroot: c.Root}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	go watch(ctx, output, stop)
	err = cmd.Run()
	lines := lastLines(output, c.Output)
	b.heard = lines
	if ctx.Err() != nil {
		killed := killGroup(cmd.Process)
		if cause := context.Cause(ctx); fault.Is(cause, fault.Full) {
			return lines, fault.New(fault.Full, "%s wrote more than %d MB", c.Argv[0], mostOutput>>20)
		}
		if killed != nil {
			return lines, fault.New(fault.Unsure, "%s did not end in time, and could not be killed: %v", c.Argv[0], killed)
		}
		return lines, fault.New(fault.Timeout, "%s did not end in time", c.Argv[0])
	}
	if err != nil {
		return lines, fault.New(fault.Conflict, "%s: %v: %s", c.Argv[0], err, last(lines))
	}
	return lines, nil
}

// mostHeard is how many of the last program's lines a person needs to see why it failed.
const mostHeard = 40

// SayHeard keeps the last lines of the program that ran last for the outcome's log: for an act that failed by it.
func (b *Bench) SayHeard() { b.Say(b.heard[max(0, len(b.heard)-mostHeard):]...) }

// watch ends a program that writes without end.
func watch(ctx context.Context, output *os.File, stop context.CancelCauseFunc) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(100 * time.Millisecond):
		}
		if info, err := output.Stat(); err != nil || info.Size() > mostOutput {
			stop(fault.New(fault.Full, "too much output"))
			return
		}
	}
}

// lastLines reads the end of a file: at most so many bytes, 0 meaning 1 MB.
func lastLines(f *os.File, most int64) []string {
	if most == 0 {
		most = 1 << 20
	}
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	from := max(0, info.Size()-most)
	text, err := io.ReadAll(io.NewSectionReader(f, from, most))
	if err != nil {
		return nil
	}
	var found []string
	for _, line := range strings.Split(string(text), "\n") {
		if line = tame.Short(line, 1000); line != "" {
			found = append(found, line)
		}
	}
	if from > 0 && len(found) > 0 {
		found = found[1:] // cut in the middle
	}
	return found
}

// killGroup ends whatever is left of a program's process group.
func killGroup(leader *os.Process) error {
	if leader == nil {
		return nil
	}
	if err := syscall.Kill(-leader.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// LookPath finds a program in the system's directories below root.
func LookPath(root, name string) (string, error) {
	if strings.HasPrefix(name, "/") {
		return name, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"} {
		var st syscall.Stat_t
		if syscall.Stat(root+dir+"/"+name, &st) == nil && st.Mode&0o111 != 0 {
			return dir + "/" + name, nil
		}
	}
	return "", fault.New(fault.Unsupported, "%s is not installed on this host", name)
}

func last(lines []string) string {
	if len(lines) == 0 {
		return "it said nothing"
	}
	return lines[len(lines)-1]
}
