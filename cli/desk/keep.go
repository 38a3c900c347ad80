package desk

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"staunch/fault"
	"staunch/reach/fleet"
	"staunch/reach/keep"
	"staunch/reach/ssh"
	"staunch/reach/wire"

	"github.com/spf13/cobra"
)

// DefineKeep adds the flag of verbs that only ask hosts.
func (r *Reaching) DefineKeep(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&r.keep, "keep", fleet.UsualKeep,
		"how long connections are kept for the next question after this one; a background process of yours holds them, and relays nothing but questions (0: off)")
	r.keepSays = cmd.Flags().Lookup("keep")
}

// heed takes from the fleet's description what the command line does not say.
func (r *Reaching) heed(f *fleet.Fleet) {
	if r.keepSays != nil && !r.keepSays.Changed {
		r.keep = f.Keep
	}
}

// KeepDir is where the keeper's socket lies: a directory of this user alone. "": there is none.
func KeepDir(env *Env) string {
	if dir := env.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		if info, err := os.Stat(dir); err == nil {
			if s, ok := info.Sys().(*syscall.Stat_t); ok && int(s.Uid) == os.Geteuid() {
				return filepath.Join(dir, "staunch")
			}
		}
	}
	if dir := ScanCache(env); dir != "" {
		return filepath.Join(dir, "keep")
	}
	return ""
}

// reachMemory is where it is remembered what ssh says of its configuration, and what sums the host parts have. "": nowhere.
func reachMemory(env *Env) string {
	if dir := ScanCache(env); dir != "" {
		return filepath.Join(dir, "reach")
	}
	return ""
}

// keeper leads to hosts through kept connections. nil: every connection is new, as for acts, and where a password is asked for.
func (r *Reaching) keeper(env *Env, d *ssh.Dialer) *keep.Client {
	dir, build := KeepDir(env), buildOf(env)
	if r.keep <= 0 || r.ask || env.Reach != nil || env.Self == "" || dir == "" || build == "" {
		return nil
	}
	way := keep.Way{
		Program: d.Program, ConfigFile: absolute(d.ConfigFile), Home: d.Home, User: d.User, Agent: d.Agent, Sudo: d.Sudo, Parts: absolute(d.Parts.Dir), Memory: d.Memory,
	}
	d.ConfigFile, d.Parts.Dir = way.ConfigFile, way.Parts
	return &keep.Client{
		Dir: dir, Build: build, Idle: r.keep, Run: rand.Text(), Way: way, Print: d.Print,
		Direct: (&Crew{env: env, Dialer: d}).dial,
		Start:  func(l *os.File, socket string) error { return startKeeper(env, l, socket) },
	}
}

// absolute is a path for a process with another working directory.
func absolute(path string) string {
	if path == "" {
		return ""
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return abs
}

// buildOf names this very program: a keeper of another one is never asked. "": it cannot be told.
func buildOf(env *Env) string {
	info, err := os.Stat(env.Self)
	if err != nil {
		return ""
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("1 %s %d %d %d %d", env.Version, s.Dev, s.Ino, s.Size, info.ModTime().UnixNano())
}

// startKeeper starts this program once more, in a session of its own, without our environment but what finding programs and files needs.
func startKeeper(env *Env, l *os.File, socket string) error {
	cmd := exec.Command(env.Self, "keeper", socket)
	cmd.Args[0], cmd.Dir, cmd.ExtraFiles = "staunch", "/", []*os.File{l}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Env = []string{}
	for _, name := range []string{"PATH", "HOME", "USER", "LOGNAME"} {
		cmd.Env = append(cmd.Env, name+"="+env.Getenv(name))
	}
	if err := cmd.Start(); err != nil {
		return fault.New(fault.Unsupported, "no keeper: %v", err)
	}
	go func() { _ = cmd.Wait() }() // it outlives us, or is no loss
	return nil
}

// NewKeeper is the process that keeps connections; it is started by the verbs that ask.
func NewKeeper(*Env) *cobra.Command {
	return &cobra.Command{
		Use: "keeper SOCKET", Hidden: true, Args: cobra.ExactArgs(1),
		Short: "Hold connections for the next command (started by staunch itself)",
		RunE: func(cmd *cobra.Command, args []string) error {
			f := os.NewFile(3, "listener")
			l, err := net.FileListener(f)
			if err != nil {
				return fault.New(fault.Usage, "keeper is started by staunch itself: docs/ssh.md")
			}
			_ = f.Close() // l has its own
			unix, ok := l.(*net.UnixListener)
			if !ok {
				return fault.New(fault.Usage, "keeper is started by staunch itself: docs/ssh.md")
			}
			return keep.Serve(cmd.Context(), unix, args[0], openDoor)
		},
	}
}

// openDoor is the keeper's way to hosts. Its host parts refuse orders.
func openDoor(w keep.Way) keep.Door {
	return door{&ssh.Dialer{
		Program: w.Program, ConfigFile: w.ConfigFile, Home: w.Home, User: w.User, Agent: w.Agent, Sudo: w.Sudo, Memory: w.Memory,
		Parts: &ssh.Parts{Dir: w.Parts, Memory: w.Memory}, LookOnly: true,
	}}
}

type door struct{ *ssh.Dialer }

func (d door) Dial(ctx context.Context, h fleet.Host) (*wire.Client, func() error, error) {
	to, err := d.Dialer.Dial(ctx, h)
	if err != nil {
		return nil, nil, err
	}
	return to.Client, to.Close, nil
}
