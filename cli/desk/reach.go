package desk

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"staunch/fault"
	"staunch/reach/act/bounds"
	"staunch/reach/act/carry"
	"staunch/reach/fleet"
	"staunch/reach/fleet/borrow"
	"staunch/reach/here"
	"staunch/reach/host"
	"staunch/reach/keep"
	"staunch/reach/ssh"
	"staunch/see/keys"
	"staunch/see/scan"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// Reaching is what the command line says about how hosts are reached.
type Reaching struct {
	Config    string
	sshConfig string
	hostParts string
	sudo      string
	ask       bool
	Forks     int
	Patience  time.Duration

	keep     time.Duration // how long connections are kept; only verbs that ask have it
	keepSays *pflag.Flag   // whether the command line said so
}

// Define adds the flags that every verb with hosts has.
func (r *Reaching) Define(cmd *cobra.Command) { r.defineOn(cmd.Flags()) }

// defineOn adds them to a set of flags: of one verb, or of a verb with all below it.
func (r *Reaching) defineOn(f *pflag.FlagSet) {
	f.StringVar(&r.Config, "config", "", "inventory: staunch.yaml, or an Ansible inventory, an ssh configuration, a list of names")
	f.StringVar(&r.sshConfig, "ssh-config", "", "ssh configuration instead of your own")
	f.StringVar(&r.hostParts, "host-parts", "", "directory with the programs that are sent to hosts (default: host/ beside staunch)")
	f.StringVar(&r.sudo, "sudo", "auto", "auto, never, or always: an error where it is not allowed")
	f.BoolVar(&r.ask, "ask-sudo-password", false, "ask once for the password for sudo; it goes only to hosts whose key is known, and is kept nowhere")
	f.IntVar(&r.Forks, "forks", 64, "hosts at once")
	f.DurationVar(&r.Patience, "host-timeout", 2*time.Minute, "how long one host may take")
}

func (r *Reaching) check() error {
	switch {
	case r.keep < 0 || r.keep > fleet.LongestKeep:
		return fault.New(fault.Usage, "--keep is from 0 to %v", fleet.LongestKeep)
	case r.sudo != "auto" && r.sudo != ssh.SudoNever && r.sudo != ssh.SudoAlways:
		return fault.New(fault.Usage, "--sudo is auto, never or always, not %q", r.sudo)
	case r.Forks < 1 || r.Forks > 10_000:
		return fault.New(fault.Usage, "--forks is from 1 to 10,000")
	case r.Patience <= 0:
		return fault.New(fault.Usage, "--host-timeout is above 0")
	}
	return nil
}

// Crew opens hosts, whatever way leads to them.
type Crew struct {
	env    *Env
	Dialer *ssh.Dialer
	keeper *keep.Client // nil: every connection is new
}

// Crew makes the opener of all hosts of one command.
func (r *Reaching) Crew(env *Env) *Crew {
	home := env.Getenv("HOME")
	memory := reachMemory(env)
	d := &ssh.Dialer{
		ConfigFile: r.sshConfig, Home: home, Agent: env.Getenv("SSH_AUTH_SOCK"), Parts: &ssh.Parts{Dir: r.partsDir(), Memory: memory}, Memory: memory,
	}
	if r.sudo != "auto" {
		d.Sudo = r.sudo
	}
	if u, err := user.Current(); err == nil {
		d.User = u.Username
	}
	if program, err := exec.LookPath("ssh"); err == nil {
		d.Program = program
	}
	if r.ask {
		d.Password = askOnce(env)
	}
	return &Crew{env: env, Dialer: d, keeper: r.keeper(env, d)}
}

// partsDir is host/ beside this program.
func (r *Reaching) partsDir() string {
	if r.hostParts != "" {
		return r.hostParts
	}
	exe, err := os.Executable()
	if err != nil {
		return "host"
	}
	return filepath.Join(filepath.Dir(exe), "host")
}

// open connects to one host.
func (c *Crew) open(ctx context.Context, h fleet.Host) (host.Host, error) {
	switch {
	case c.env.Reach != nil:
		return c.env.Reach(ctx, h)
	case h.Via == fleet.ViaLocal:
		return thisMachine(c.env, h.Name)
	case h.Via == fleet.ViaAgent:
		return nil, fault.New(fault.Unsupported, "%s calls in by its agent", h.Name).Hinted("ask through the server that it calls")
	}
	if c.keeper != nil {
		return c.keeper.Open(ctx, h)
	}
	return c.dial(ctx, h)
}

// dial logs in.
func (c *Crew) dial(ctx context.Context, h fleet.Host) (host.Host, error) {
	to, err := c.Dialer.Dial(ctx, h)
	if err != nil {
		return nil, err
	}
	return to, nil
}

// Close hangs up on every host.
func (c *Crew) Close() { c.Dialer.Close() }

// thisMachine is this machine under the fleet's name.
func thisMachine(env *Env, name string) (host.Host, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fault.New(fault.Unsupported, "where this program lies: %v", err)
	}
	return &here.Machine{
		Called: name, Scan: scan.Env{Cache: ScanCache(env), Version: env.Version},
		Keys: func(ctx context.Context, q json.RawMessage, _ func(host.Progress)) (json.RawMessage, error) {
			return keys.Answer(ctx, q)
		},
		Engine: &carry.Engine{Places: bounds.Standard(), Local: os.Geteuid() == 0, Self: []string{exe, "do", "self-undo"}},
	}, nil
}

// askOnce asks a person for the password for sudo when the first host needs it; all others get the same answer.
func askOnce(env *Env) func(context.Context) (string, error) {
	ask := sync.OnceValues(func() (string, error) { return readPassword(env, "password for sudo on the hosts: ") })
	return func(context.Context) (string, error) { return ask() }
}

func readPassword(env *Env, prompt string) (string, error) {
	fmt.Fprint(env.Stderr, prompt)
	if f, ok := env.Stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		b, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(env.Stderr)
		if err != nil {
			return "", fault.New(fault.Usage, "the password could not be read: %v", err)
		}
		return string(b), nil
	}
	text, err := bufio.NewReader(io.LimitReader(env.Stdin, 4096)).ReadString('\n')
	fmt.Fprintln(env.Stderr)
	if err != nil && !(errors.Is(err, io.EOF) && text != "") {
		return "", fault.New(fault.Usage, "no password on stdin")
	}
	return strings.TrimRight(text, "\r\n"), nil
}

// Hosts returns the fleet and the part of it that the selector names ("" for all).
func (r *Reaching) Hosts(env *Env, selector string) (*fleet.Fleet, []fleet.Host, error) {
	if err := r.check(); err != nil {
		return nil, nil, err
	}
	f, err := r.fleet(env, cmp.Or(selector, "all"))
	if selector == "" {
		if err == nil && len(f.Hosts) == 0 && r.Config == "" { // no ssh configuration either: this machine
			f, err = r.fleet(env, "")
		}
		if err != nil {
			return nil, nil, err
		}
		r.heed(f)
		return f, f.Hosts, nil
	}
	if err != nil {
		return nil, nil, err
	}
	r.heed(f)
	chosen, err := f.Select(selector, os.ReadFile)
	if err != nil {
		return nil, nil, err
	}
	if len(chosen) == 0 {
		return nil, nil, fault.New(fault.NotFound, "%q names no host of %s", selector, f.Source)
	}
	return f, chosen, nil
}

// fleet reads the inventory. Without any, the hosts of the ssh configuration and the names in the selector itself will do.
func (r *Reaching) fleet(env *Env, selector string) (*fleet.Fleet, error) {
	f, err := FindFleet(env, r.Config)
	if err != nil || r.Config != "" || selector == "" || filepath.Base(f.Source) == fleet.FileName {
		return f, err
	}
	source := "your ssh configuration"
	file := r.sshConfig
	if file == "" {
		file = filepath.Join(env.Getenv("HOME"), ".ssh", "config")
	}
	var hosts []fleet.Host
	if text, err := os.ReadFile(file); err == nil {
		borrowed, err := borrow.SSHConfig(text, file, borrow.Disk())
		if err != nil {
			return nil, err
		}
		hosts, source = borrowed.Hosts, file
	}
	names, err := fleet.Mentioned(selector, os.ReadFile)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		hosts = append(hosts, fleet.Host{Name: n})
	}
	return fleet.Of(source+", as there is no "+fleet.FileName, hosts), nil
}
