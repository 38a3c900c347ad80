// Package outside holds the verbs that look the way a stranger does: probe at our addresses, why at a site.
package outside

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/ink"
	"staunch/see/probe"
	"staunch/see/probe/grade"
	"staunch/see/probe/tell"

	"github.com/spf13/cobra"
)

const probeExamples = `  staunch probe www.example.org                       every address of the name: versions, certificate, letter
  staunch probe --heartbleed -f hosts.txt             Heartbleed alone, one connection each, no memory read
  staunch probe --quick smtp://mail.example.org       a letter in about eight connections, over STARTTLS
  staunch probe --allow 10.1.0.0/24 10.1.0.0/24:443,8443
  staunch probe --expect-spki 9f86d0... www.example.org   exit 1 unless every address serves this key
  staunch probe --from web db1.example.org:5432 --starttls postgres   from inside the network
  staunch probe --from-scan --format json             every TLS port of this machine`

// probing holds what the flags of probe say.
type probing struct {
	env        *desk.Env
	q          probe.Question
	files      []string
	ca, format string
	state, min string
	heartbleed bool
	quick      bool
	cert       bool
	fromScan   bool
	from       string
	reach      desk.Reaching
	verbose    bool
}

// NewProbe shows what a stranger meets at our addresses.
func NewProbe(env *desk.Env) *cobra.Command {
	p := &probing{env: env}
	cmd := &cobra.Command{
		Use:   "probe TARGET...",
		Short: "Show what a stranger meets at an address: Heartbleed, versions, certificate, a letter",
		Long: `Looks at TLS endpoints from outside, at every address of every name.

Targets are host, host:port, [v6]:port, a URL (https, imaps, smtp, ldap, xmpp, postgres, mysql, turns ...), or
CIDR:ports inside a range that you state with --allow. Nothing else is ever contacted but the CRL, OCSP and
issuer addresses that certificates name (not with --offline).

A positive Heartbleed answer proves that the code there is affected. A negative one never outweighs evidence from
the host: a balancer may have answered for the code behind it. Run staunch scan on the host as well.

Exit codes: 0 nothing bad and everything seen; 1 vulnerable, letter F, below --min-grade, or another key than
expected; 3 nothing bad, but something could not be seen; 2 could not look.`,
		Example: probeExamples,
		RunE:    func(cmd *cobra.Command, args []string) error { return p.run(cmd.Context(), args) },
	}
	f := cmd.Flags()
	f.StringArrayVarP(&p.files, "file", "f", nil, "read targets from `FILE`, one a line (- for standard input)")
	f.BoolVar(&p.fromScan, "from-scan", false, "probe every listening TLS port of this machine")
	f.StringSliceVar(&p.q.Allow, "allow", nil, "`CIDR` inside which ranges may be named (repeat it)")
	f.BoolVar(&p.quick, "quick", false, "about eight connections: the letter is an upper bound")
	f.BoolVar(&p.heartbleed, "heartbleed", false, "Heartbleed alone, one connection")
	f.BoolVar(&p.cert, "certificate", false, "the certificate alone, one connection")
	f.StringVar(&p.q.StartTLS, "starttls", "", "`PROTOCOL` before TLS, or none (default: by scheme and port)")
	f.StringVar(&p.q.Domain, "domain", "", "XMPP: the domain to ask for")
	f.StringVar(&p.q.SNI, "sni", "", "the name to ask for, when it is not the target's")
	f.StringVar(&p.ca, "ca", "", "trust the PEM certificates in `FILE` instead of the system's")
	f.StringVar(&p.q.ExpectSPKI, "expect-spki", "", "SHA-256 (`HEX`) of the public key that every address must serve")
	f.StringVar(&p.min, "min-grade", "", "exit 1 when a `LETTER` is worse than this (A+ A A- B C D E F M T)")
	f.BoolVar(&p.q.Intrusive, "intrusive", false, "also ROBOT, Ticketbleed and early CCS, which send what a broken client would")
	f.BoolVar(&p.q.Offline, "offline", false, "fetch no CRL, no OCSP answer, no missing issuer")
	f.IntVar(&p.q.AtOnce, "at-once", 4, "connections at once to one address (loopback: no limit)")
	f.Float64Var(&p.q.PerSecond, "per-second", 10, "new connections a second to one address (loopback: no limit)")
	f.Float64Var(&p.q.TotalRate, "rate", 200, "new connections a second over all addresses")
	f.IntVar(&p.q.Parallel, "parallel", 32, "endpoints looked at side by side")
	f.Int64Var(&p.q.TimeoutMS, "timeout-ms", 5000, "how long to wait on one connection")
	f.StringVar(&p.from, "from", "", "probe from inside the network: from these hosts of the fleet (`SELECTOR`)")
	p.reach.Define(cmd)
	p.reach.DefineKeep(cmd)
	f.StringVar(&p.state, "state", "", "keep results in `FILE` and go on where an earlier run stopped")
	f.StringVar(&p.format, "format", "table", "table, json, jsonl or html")
	f.BoolVarP(&p.verbose, "verbose", "v", false, "print everything that was seen")
	return cmd
}

func (p *probing) run(ctx context.Context, args []string) error {
	if p.from != "" {
		return p.runFrom(ctx, args)
	}
	if err := p.prepare(ctx, args); err != nil {
		return err
	}
	kept, err := openProbeState(p.state, p.q)
	if err != nil {
		return err
	}
	defer kept.close()
	all, err := p.collect(ctx, kept)
	if err != nil {
		return err
	}
	if err := p.print(all); err != nil {
		return err
	}
	if code := probeExit(all, p.min); code != desk.ExitClean {
		return desk.Exit(code)
	}
	return nil
}

// collect probes what an earlier run has not, and returns the results of both. Stopped by a person, it keeps what it has in the state file.
func (p *probing) collect(ctx context.Context, kept *probeState) ([]probe.Result, error) {
	var mu sync.Mutex
	all := kept.earlier
	var failed error
	lines := json.NewEncoder(p.env.Stdout)
	if p.format == "jsonl" {
		for _, r := range all {
			failed = lines.Encode(r)
		}
	}
	if n := len(kept.earlier); n > 0 && desk.IsTerminal(p.env.Stderr) {
		fmt.Fprintf(p.env.Stderr, "%d results are taken from %s\n", n, p.state)
	}
	err := probe.Each(ctx, p.q, kept.done, p.progress(), func(r probe.Result) {
		mu.Lock()
		defer mu.Unlock()
		if err := kept.add(r); err != nil && failed == nil {
			failed = err
		}
		if p.format == "jsonl" {
			if err := lines.Encode(r); err != nil && failed == nil {
				failed = err
			}
		}
		all = append(all, r)
	})
	if err == nil {
		err = failed
	}
	if ctx.Err() != nil {
		hint := "give --state FILE to be able to go on later"
		if p.state != "" {
			hint = "the same command goes on from here"
		}
		return nil, fault.New(fault.Timeout, "stopped after %d endpoints", len(all)).Hinted("%s", hint)
	}
	probe.Sort(all, p.q)
	return all, err
}

// print writes the results in the format that was asked for.
func (p *probing) print(all []probe.Result) error {
	switch p.format {
	case "jsonl":
		return nil // printed as it came
	case "json":
		if all == nil {
			all = []probe.Result{}
		}
		out := json.NewEncoder(p.env.Stdout)
		out.SetIndent("", " ")
		return out.Encode(all)
	case "html":
		return tell.Page(p.env.Stdout, all, time.Now())
	}
	w := &ink.Lines{W: p.env.Stdout}
	tell.Table(w, all)
	if p.verbose {
		for _, r := range all {
			tell.Details(w, r)
		}
	} else {
		tell.Reasons(w, all)
	}
	tell.Footer(w, all)
	return w.Err
}

// prepare turns flags, files and arguments into the question.
func (p *probing) prepare(ctx context.Context, args []string) error {
	if err := p.modes(); err != nil {
		return err
	}
	p.q.Targets = args
	for _, name := range p.files {
		more, err := readTargets(name, p.env.Stdin)
		if err != nil {
			return err
		}
		p.q.Targets = append(p.q.Targets, more...)
	}
	if p.fromScan {
		more, err := listeners(ctx, p.env)
		if err != nil {
			return err
		}
		p.q.Targets, p.q.OnlyTLS = append(p.q.Targets, more...), true
	}
	if p.ca != "" {
		pem, err := os.ReadFile(p.ca)
		if err != nil {
			return fault.New(fault.Usage, "cannot read the trusted certificates").Caused(err)
		}
		p.q.CA = string(pem)
	}
	return nil
}

func (p *probing) modes() error {
	chosen := 0
	for mode, on := range map[probe.Mode]bool{probe.ModeHeartbleed: p.heartbleed, probe.ModeQuick: p.quick, probe.ModeCertificate: p.cert} {
		if on {
			p.q.Mode = mode
			chosen++
		}
	}
	p.q.ExpectSPKI = strings.ToLower(strings.ReplaceAll(p.q.ExpectSPKI, ":", ""))
	switch {
	case chosen > 1:
		return fault.New(fault.Usage, "--heartbleed, --quick and --certificate exclude each other")
	case chosen == 0 && p.q.ExpectSPKI != "":
		p.q.Mode = probe.ModeCertificate
	case p.heartbleed && p.q.ExpectSPKI != "":
		return fault.New(fault.Usage, "--heartbleed does not look at the key that --expect-spki asks about")
	}
	if p.min != "" && !grade.Known(p.min) {
		return fault.New(fault.Usage, "unknown letter %q", p.min).Hinted("one of A+ A A- B C D E F M T")
	}
	if p.min != "" && (p.heartbleed || p.q.Mode == probe.ModeCertificate) {
		return fault.New(fault.Usage, "--min-grade needs a grade: leave the mode out, or use --quick")
	}
	if p.q.AtOnce < 1 || p.q.PerSecond <= 0 || p.q.TotalRate <= 0 || p.q.Parallel < 1 || p.q.TimeoutMS < 1 {
		return fault.New(fault.Usage, "limits and times are more than zero")
	}
	switch p.format {
	case "table", "json", "jsonl", "html":
		return nil
	}
	return fault.New(fault.Usage, "unknown format %q", p.format).Hinted("one of table, json, jsonl, html")
}

// maxTargetLine is the longest line that a file of targets may have.
const maxTargetLine = 4096

func readTargets(name string, stdin io.Reader) ([]string, error) {
	from := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fault.New(fault.Usage, "cannot read the targets").Caused(err)
		}
		defer f.Close()
		from = f
	}
	var targets []string
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, maxTargetLine), maxTargetLine)
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		targets = append(targets, strings.Fields(line)...)
	}
	if err := lines.Err(); err != nil {
		return nil, fault.New(fault.Usage, "cannot read the targets in %s", name).Caused(err)
	}
	return targets, nil
}

// progress keeps one line on a terminal up to date; elsewhere nothing is said.
func (p *probing) progress() func(probe.Progress) {
	if !desk.IsTerminal(p.env.Stderr) {
		return nil
	}
	return func(s probe.Progress) {
		if s.Done == s.Total {
			fmt.Fprint(p.env.Stderr, "\r\x1b[K")
			return
		}
		fmt.Fprintf(p.env.Stderr, "\r\x1b[K%d of %d done, %.60s", s.Done, s.Total, s.Says)
	}
}

// probeExit is the exit code for results: bad beats incomplete.
func probeExit(all []probe.Result, least string) int {
	code := desk.ExitClean
	for _, r := range all {
		switch {
		case probe.Bad(r, least):
			return desk.ExitFound
		case !r.Complete():
			code = desk.ExitIncomplete
		}
	}
	return code
}
