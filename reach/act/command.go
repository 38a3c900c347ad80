package act

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"staunch/fault"
)

// command is one program run without a shell, in a clean environment.
type command struct {
	argv   []string
	env    []string // besides PATH and LC_ALL
	dir    string
	stdin  []byte
	output int64 // bytes of output kept, from the end; 0: 1 MB
	root   string
}

// run runs a program to its end in its own process group and returns its last lines, cleaned. When the time is over the whole
// group is asked to end and then killed. A program that ends badly is fault.Conflict with its last line.
func (b *bench) run(ctx context.Context, c command) ([]string, error) {
	path, err := lookPath(c.root, c.argv[0])
	if err != nil {
		return nil, err
	}
	kept := &lastBytes{most: c.output}
	cmd := exec.CommandContext(ctx, path, c.argv[1:]...)
	cmd.Env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/root", "TERM=dumb"}, c.env...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = "/", bytes.NewReader(c.stdin), kept, kept
	if c.dir != "" {
		cmd.Dir = c.dir
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Chroot: c.root}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	err = cmd.Run()
	lines := kept.lines()
	if ctx.Err() != nil {
		if cmd.Process != nil {
			err = errors.Join(err, ignoreGone(syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)))
		}
		return lines, fault.New(fault.Timeout, "%s did not end in time", c.argv[0])
	}
	if err != nil {
		return lines, fault.New(fault.Conflict, "%s: %v: %s", c.argv[0], err, last(lines))
	}
	return lines, nil
}

func ignoreGone(err error) error {
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

func lookPath(root, name string) (string, error) {
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

// lastBytes keeps the end of what is written to it.
type lastBytes struct {
	most int64
	buf  []byte
	cut  bool
}

func (l *lastBytes) Write(p []byte) (int, error) {
	if l.most == 0 {
		l.most = 1 << 20
	}
	l.buf = append(l.buf, p...)
	if over := int64(len(l.buf)) - l.most; over > l.most {
		l.buf, l.cut = append([]byte(nil), l.buf[over:]...), true
	}
	return len(p), nil
}

func (l *lastBytes) lines() []string {
	var found []string
	for _, line := range strings.Split(string(l.buf), "\n") {
		if line = Clean(line); line != "" {
			found = append(found, line)
		}
	}
	if l.cut && len(found) > 0 {
		found = found[1:]
	}
	return found
}
