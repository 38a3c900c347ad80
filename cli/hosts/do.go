package hosts

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/reach/act"

	"github.com/spf13/cobra"
)

const doHelp = `Carries out one act of the closed list by hand, here or on hosts (--on): looks first, shows what will happen, and does it only when
you agree. There is no other way to change anything: no shell, no free command.

What this host's own policy (/etc/staunch/policy.json) does not allow is refused. On a host with an allowed_signers file an act
needs a signed plan; root on the machine itself may still stop, mask, drain, restart and upgrade without one.

Exit codes: 0 done, or nothing to do, or previewed; 1 refused or failed; 2 the request makes no sense; 3 begun, and its end was
not seen: staunch do repeat asks the hosts again.`

const doExamples = `  staunch do upgrade libssl3=3.0.17-1~deb12u3 --preview     what would happen, changing nothing
  staunch do upgrade libssl3=3.0.17-1~deb12u3 --yes
  staunch do restart nginx.service
  staunch do stop ssh.service --confirm 2m                  undoes itself unless confirmed within two minutes
  staunch do place nginx.conf=/etc/nginx/nginx.conf --validator nginx --reload nginx.service
  staunch do upgrade libssl3=3.0.17-1~deb12u3 --refresh --on ring=canary --preview
  staunch do restart nginx --on web --at-once 2             two hosts at a time; a failure stops the rest
  staunch do hook rotate-tokens SERVICE=shop
  staunch do drain shop --hook balancer
  staunch do list                                           what this host did, and what has no end yet
  staunch do undo ORDER`

// doing is what the flags shared by all acts say.
type doing struct {
	env      *desk.Env
	preview  bool
	yes      bool
	format   string
	deadline time.Duration
	confirm  time.Duration
	on       string // hosts of the fleet; "" this machine
	reach    desk.Reaching
	atOnce   int
	// keepGoing begins on further hosts although one failed.
	keepGoing bool
	puts      map[string]string // payloads of this act: SHA-256 to file
}

// NewDo is one act by hand.
func NewDo(env *desk.Env) *cobra.Command {
	d := &doing{env: env, puts: map[string]string{}}
	cmd := &cobra.Command{
		Use: "do", Short: "Carry out one act of the closed list, with a preview first", Long: doHelp, Example: doExamples,
		Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	f := cmd.PersistentFlags()
	f.BoolVar(&d.preview, "preview", false, "show what would happen, change nothing")
	f.BoolVar(&d.yes, "yes", false, "do not ask")
	f.StringVar(&d.format, "format", "text", "text or json")
	f.DurationVar(&d.deadline, "deadline", 0, "how long the act may take (default: 2m, upgrades 15m)")
	f.StringVar(&d.on, "on", "", "do it on the hosts that this `SELECTOR` names (see staunch hosts --help)")
	f.IntVar(&d.atOnce, "at-once", 1, "with --on: hosts at the same time; after a failure no further host is begun")
	f.BoolVar(&d.keepGoing, "keep-going", false, "with --on: go on after a failure")
	cmd.AddCommand(d.upgrade(), d.hook(), d.drain(act.Drain), d.drain(act.Undrain), d.place(), d.reboot(), d.signal(), d.installLib(), d.makeKey(), d.unseal())
	cmd.AddCommand(d.units(act.Restart, "Restart units and prove that no old process is left"), d.units(act.Reload, "Reload units"),
		d.units(act.Stop, "Stop units"), d.units(act.Start, "Start units"),
		d.units(act.Mask, "Make units unable to start (does not stop them)"), d.units(act.Unmask, "Take a mask back"))
	cmd.AddCommand(d.undo(), d.confirmed(), d.repeat(), d.list(), d.order(), d.selfUndo())
	for _, sub := range cmd.Commands() {
		sub.MarkFlagsMutuallyExclusive("preview", "yes")
		if !sub.Hidden {
			d.reach.Define(sub)
		}
	}
	return cmd
}

func (d *doing) units(kind act.Kind, short string) *cobra.Command {
	with := &act.UnitsWith{}
	var settle time.Duration
	cmd := &cobra.Command{
		Use: string(kind) + " UNIT...", Short: short, Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, unit := range args {
				if !strings.Contains(unit, ".") {
					unit += ".service"
				}
				with.Units = append(with.Units, unit)
			}
			with.ConfirmMS, with.SettleMS = d.confirm.Milliseconds(), settle.Milliseconds()
			return d.act(cmd.Context(), kind, with)
		},
	}
	cmd.Flags().StringSliceVar(&with.Gone, "gone", nil, "object `ID`s that no process of the units may map afterwards")
	cmd.Flags().DurationVar(&settle, "settle", 0, "how long a unit must stay up before it counts (default 1s)")
	d.confirmFlag(cmd)
	return cmd
}

func (d *doing) confirmFlag(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&d.confirm, "confirm", 0, "undo it by itself unless confirmed within this time (staunch do confirm ORDER)")
}

func (d *doing) upgrade() *cobra.Command {
	with := &act.UpgradeWith{}
	var also []string
	cmd := &cobra.Command{
		Use: "upgrade NAME=VERSION...", Short: "Bring packages to exact versions, and nothing else with them", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if with.Packages, err = packageArgs(args); err != nil {
				return err
			}
			if with.Also, err = packageArgs(also); err != nil {
				return err
			}
			return d.act(cmd.Context(), act.Upgrade, with)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&also, "also", nil, "`NAME=VERSION` that may come along because the others need it")
	f.BoolVar(&with.Downgrade, "downgrade", false, "older versions are meant")
	f.BoolVar(&with.Refresh, "refresh", false, "read the package sources again before the change")
	f.StringVar(&with.Manager, "manager", "", "apt, dnf, zypper or apk (default: the machine's)")
	return cmd
}

func packageArgs(args []string) ([]act.Package, error) {
	var list []act.Package
	for _, arg := range args {
		name, version, found := strings.Cut(arg, "=")
		if !found {
			return nil, fault.New(fault.Usage, "%q names no version", arg).Hinted("write NAME=VERSION: an upgrade is to an exact version")
		}
		name, arch, _ := strings.Cut(name, ":")
		list = append(list, act.Package{Name: name, Version: version, Arch: arch})
	}
	return list, nil
}

func paramArgs(args []string) (map[string]string, error) {
	if len(args) == 0 {
		return nil, nil
	}
	params := map[string]string{}
	for _, arg := range args {
		name, value, found := strings.Cut(arg, "=")
		if _, twice := params[name]; !found || twice {
			return nil, fault.New(fault.Usage, "parameter %q is not NAME=VALUE, or stands twice", arg)
		}
		params[name] = value
	}
	return params, nil
}

func (d *doing) hook() *cobra.Command {
	return &cobra.Command{
		Use: "hook NAME [PARAMETER=VALUE...]", Short: "Run a hook of this host (/etc/staunch/hooks) with declared parameters", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			params, err := paramArgs(args[1:])
			if err != nil {
				return err
			}
			return d.act(cmd.Context(), act.Hook, &act.HookWith{Name: args[0], Params: params})
		},
	}
}

func (d *doing) drain(kind act.Kind) *cobra.Command {
	with := &act.DrainWith{}
	short := map[act.Kind]string{act.Drain: "Take a service out of traffic by its hook", act.Undrain: "Bring a service back into traffic by its hook"}[kind]
	cmd := &cobra.Command{
		Use: string(kind) + " SERVICE --hook NAME [PARAMETER=VALUE...]", Short: short, Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			with.Service = args[0]
			if with.Params, err = paramArgs(args[1:]); err != nil {
				return err
			}
			return d.act(cmd.Context(), kind, with)
		},
	}
	cmd.Flags().StringVar(&with.Hook, "hook", "", "the hook that does it (gets STAUNCH_ACTION and STAUNCH_SERVICE)")
	return cmd
}

func (d *doing) place() *cobra.Command {
	with := &act.PlaceWith{}
	var owner, group, mode string
	cmd := &cobra.Command{
		Use: "place FILE=PATH...", Short: "Place files atomically: all of them or none", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, arg := range args {
				from, to, found := strings.Cut(arg, "=")
				if !found {
					return fault.New(fault.Usage, "%q is not FILE=PATH", arg)
				}
				sum, err := d.payload(from)
				if err != nil {
					return err
				}
				with.Files = append(with.Files, act.File{Path: to, Pieces: []act.Piece{{SHA256: sum}}, Owner: owner, Group: group, Mode: mode})
			}
			with.ConfirmMS = d.confirm.Milliseconds()
			return d.act(cmd.Context(), act.Place, with)
		},
	}
	f := cmd.Flags()
	f.StringVar(&owner, "owner", "", "`USER` (default: as now, else root)")
	f.StringVar(&group, "group", "", "`GROUP` (default: as now, else root)")
	f.StringVar(&mode, "mode", "", "four octal digits (default: as now, else 0644)")
	f.StringVar(&with.Validator, "validator", "", "nginx, haproxy, apache, postfix, dovecot or hook:NAME: if it refuses, the old files come back")
	f.StringSliceVar(&with.Reload, "reload", nil, "`UNIT`s to reload then")
	d.confirmFlag(cmd)
	return cmd
}

func (d *doing) reboot() *cobra.Command {
	return &cobra.Command{
		Use: "reboot", Short: "Reboot this machine, once", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if d.on != "" {
				return d.rebootOn(cmd.Context())
			}
			id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
			if err != nil {
				return fault.New(fault.Unsupported, "this machine's boot id: %v", err)
			}
			return d.act(cmd.Context(), act.Reboot, &act.RebootWith{BootID: strings.TrimSpace(string(id))})
		},
	}
}

func (d *doing) signal() *cobra.Command {
	with := &act.SignalWith{}
	var start string
	cmd := &cobra.Command{
		Use: "signal PID SIGNAL --start TIME", Short: "Signal exactly the process that a scan showed", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if with.PID, err = strconv.Atoi(args[0]); err != nil {
				return fault.New(fault.Usage, "%q is not a process id", args[0])
			}
			if with.Start, err = time.Parse(time.RFC3339, start); err != nil {
				return fault.New(fault.Usage, "--start %q is not a time", start).Hinted("staunch scan --format json shows it as processes[].start")
			}
			with.Signal = strings.TrimPrefix(strings.ToUpper(args[1]), "SIG")
			return d.act(cmd.Context(), act.Signal, with)
		},
	}
	cmd.Flags().StringVar(&start, "start", "", "when the process started, as a scan tells it (RFC 3339)")
	cmd.Flags().BoolVar(&with.Gone, "gone", false, "the process must be gone afterwards")
	return cmd
}

func (d *doing) installLib() *cobra.Command {
	with := &act.InstallLibWith{}
	cmd := &cobra.Command{
		Use: "install-lib FILE PATH", Short: "Put a library that was built elsewhere, and its links", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			with.Path = args[1]
			if with.SHA256, err = d.payload(args[0]); err != nil {
				return err
			}
			return d.act(cmd.Context(), act.InstallLib, with)
		},
	}
	cmd.Flags().StringSliceVar(&with.Links, "link", nil, "`NAME` beside it that points to it (libssl.so.3)")
	cmd.Flags().BoolVar(&with.Ldconfig, "ldconfig", false, "run ldconfig then")
	return cmd
}

func (d *doing) makeKey() *cobra.Command {
	with := &act.MakeKeyWith{}
	cmd := &cobra.Command{
		Use: "make-key NAME --dns NAME...", Short: "Make a private key on this host and print its CSR", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			with.Name = args[0]
			return d.act(cmd.Context(), act.MakeKey, with)
		},
	}
	f := cmd.Flags()
	f.StringVar(&with.Type, "type", "ecdsa-p256", "ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072, rsa-4096 or ed25519")
	f.StringSliceVar(&with.Names, "dns", nil, "DNS `NAME`s and addresses of the certificate")
	f.StringVar(&with.CommonName, "cn", "", "common name (most CAs ignore it)")
	f.StringSliceVar(&with.Recipients, "to", nil, "age `RECIPIENT`s of the other hosts that serve the same names")
	f.BoolVar(&with.MustStaple, "must-staple", false, "ask for a certificate that demands OCSP stapling")
	return cmd
}

func (d *doing) unseal() *cobra.Command {
	with := &act.UnsealWith{}
	cmd := &cobra.Command{
		Use: "unseal NAME FILE --spki HEX", Short: "Take a key that another host sealed for this one", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := d.readSmall(args[1])
			if err != nil {
				return err
			}
			with.Name, with.Sealed = args[0], string(text)
			return d.act(cmd.Context(), act.Unseal, with)
		},
	}
	cmd.Flags().StringVar(&with.SPKI, "spki", "", "SHA-256 (`HEX`) of the public key that must come out")
	return cmd
}

// payload notes a file that the act needs and names it by its content.
func (d *doing) payload(file string) (string, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return "", fault.New(fault.Usage, "%s: %v", file, err)
	}
	sum, err := sumFile(path)
	if err != nil {
		return "", err
	}
	d.puts[sum] = path
	return sum, nil
}
