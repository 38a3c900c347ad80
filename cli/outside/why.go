package outside

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/see/why"

	"github.com/spf13/cobra"
)

// whyFlags are the flags of why.
type whyFlags struct {
	format, resolver, rootHints, anchors, ca string
	samples                                  int
	timeout, every                           time.Duration
	watch, verbose, head                     bool
}

// NewWhy explains the way to a site, layer by layer.
func NewWhy(env *desk.Env) *cobra.Command {
	var f whyFlags
	cmd := &cobra.Command{
		Use:   "why URL",
		Short: "Explain, layer by layer, why a site can or cannot be reached",
		Long: `Explain what happens between a link and its site: the parts of the link, the name look-up from the root
to the servers that answer for the name, the connection to every address, encryption, and the web server's answer.
It names the layer that fails and what that usually means, in plain words; -v shows every finding with the command
(dig, nc, openssl, curl) with which you can check it yourself.

Exit codes: 0 fine from here; 1 the site has a problem; 2 could not look; 3 undecided.`,
		Example: `  staunch why https://example.org/
  staunch why -v example.org
  staunch why --samples 10 https://shop.example.org/    # slow site, or a slow moment?
  staunch why --format html https://example.org/ > why.html`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runWhy(cmd.Context(), env, f, args[0])
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.format, "format", "text", "text, json or html")
	fl.StringVar(&f.resolver, "resolver", "", "ask this resolver instead of walking from the root (address or address:port)")
	fl.StringVar(&f.rootHints, "root-hints", "", "file with the addresses of root servers (root zone hints format, or one address a line)")
	fl.StringVar(&f.anchors, "trust-anchor", "", "file with DS records of the root key, for DNSSEC below --root-hints")
	fl.StringVar(&f.ca, "ca", "", "PEM file of certificate authorities to trust instead of the system's")
	fl.IntVar(&f.samples, "samples", 0, "ask this many times more, to see whether it gets slower")
	fl.DurationVar(&f.timeout, "timeout", 5*time.Second, "how long to wait for each single answer")
	fl.BoolVar(&f.watch, "watch", false, "repeat, with a line of small bars per layer")
	fl.DurationVar(&f.every, "every", 5*time.Second, "pause between two looks of --watch")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "every finding, with the command that checks it")
	fl.BoolVar(&f.head, "head", false, "ask for the page's head only")
	return cmd
}

func runWhy(ctx context.Context, env *desk.Env, f whyFlags, url string) error {
	q, err := whyQuestion(env, f, url)
	if err != nil {
		return err
	}
	if f.watch {
		return watchWhy(ctx, env, f, q)
	}
	answer, err := why.Ask(ctx, q, whyProgress(env))
	if desk.IsTerminal(env.Stderr) {
		fmt.Fprint(env.Stderr, "\r\x1b[K")
	}
	if err != nil {
		return err
	}
	if err := printWhy(env, f, answer); err != nil {
		return err
	}
	return whyExit(answer)
}

func whyExit(a why.Answer) error {
	switch a.Verdict {
	case why.Fine, why.Slow:
		return nil
	case why.BadURL:
		return desk.Exit(desk.ExitCannot)
	case why.Undecided:
		return desk.Exit(desk.ExitIncomplete)
	}
	return desk.Exit(desk.ExitFound)
}

func whyProgress(env *desk.Env) func(string) {
	if !desk.IsTerminal(env.Stderr) {
		return func(string) {}
	}
	return func(layer string) { fmt.Fprintf(env.Stderr, "\r\x1b[Klooking: %s", layer) }
}

func printWhy(env *desk.Env, f whyFlags, a why.Answer) error {
	switch f.format {
	case "json":
		enc := json.NewEncoder(env.Stdout)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(a)
	case "html":
		return why.WritePage(env.Stdout, a)
	}
	why.Draw(env.Stdout, a, whyStyle(env, f))
	return nil
}

func whyStyle(env *desk.Env, f whyFlags) why.Style {
	return why.Style{Width: desk.Width(env), Colour: desk.Colour(env), Verbose: f.verbose}
}

// watchWhy repeats until it is interrupted; each round is one line per layer with its history. On a terminal a round takes the place of the one before.
func watchWhy(ctx context.Context, env *desk.Env, f whyFlags, q why.Question) error {
	history := map[string][]float64{}
	shown := 0
	for {
		answer, err := why.Ask(ctx, q, nil)
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		width := 0
		if desk.IsTerminal(env.Stdout) {
			width = desk.Width(env)
			if shown > 0 {
				fmt.Fprintf(env.Stdout, "\x1b[%dA\x1b[J", shown)
			}
		}
		shown = watchRound(env.Stdout, answer, history, width)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(f.every):
		}
	}
}

// watchRound prints one round and returns how many lines it took; with a width no line is longer.
func watchRound(w io.Writer, answer why.Answer, history map[string][]float64, width int) int {
	lines := []string{answer.Taken.Format("15:04:05") + "  " + answer.Says}
	for _, l := range answer.Layers {
		past := append(history[l.Layer], l.TookMS)
		history[l.Layer] = past[max(0, len(past)-40):]
		lines = append(lines, fmt.Sprintf("  %s %-8s%8.1f ms  %s", why.Symbol(l.State), l.Layer, l.TookMS, why.Spark(history[l.Layer])))
	}
	for _, line := range lines {
		if short := []rune(line); width > 0 && len(short) > width {
			line = string(short[:width])
		}
		fmt.Fprintln(w, line)
	}
	return len(lines)
}

func whyQuestion(env *desk.Env, f whyFlags, url string) (why.Question, error) {
	q := why.Question{URL: url, Resolver: f.resolver, Samples: f.samples, Timeout: f.timeout, Hosts: "/etc/hosts", System: systemResolvers("/etc/resolv.conf"), UserAgent: "staunch-why/" + env.Version}
	if f.format != "text" && f.format != "json" && f.format != "html" {
		return q, fault.New(fault.Usage, "unknown format %q", f.format).Hinted("text, json or html")
	}
	if f.timeout <= 0 || f.timeout > time.Minute {
		return q, fault.New(fault.Usage, "a timeout of %s makes no sense here", f.timeout).Hinted("between 1ms and 1m")
	}
	if f.head {
		q.Method = "HEAD"
	}
	if name, err := os.Hostname(); err == nil {
		q.From = name
	}
	var err error
	if f.rootHints != "" {
		if q.RootHints, err = readHints(f.rootHints); err != nil {
			return q, err
		}
		q.System = nil // a name space of our own has nothing to do with this machine's resolver
	}
	if f.anchors != "" {
		text, err := os.ReadFile(f.anchors)
		if err != nil {
			return q, fault.New(fault.Usage, "trust anchor: %v", err)
		}
		q.Anchors = nonEmptyLines(string(text))
	}
	if f.ca != "" {
		pem, err := os.ReadFile(f.ca)
		if err != nil {
			return q, fault.New(fault.Usage, "certificate authorities: %v", err)
		}
		q.CAs = x509.NewCertPool()
		if !q.CAs.AppendCertsFromPEM(pem) {
			return q, fault.New(fault.Usage, "%s holds no certificate in PEM form", f.ca)
		}
	}
	return q, nil
}

func nonEmptyLines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, ";")
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// readHints takes every address of the file: the format of root hints ("NAME TTL A ADDRESS") or one address a line.
func readHints(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.New(fault.Usage, "root hints: %v", err)
	}
	var out []string
	for _, line := range nonEmptyLines(string(text)) {
		fields := strings.Fields(line)
		last := fields[len(fields)-1]
		_, notAddr := netip.ParseAddr(last)
		_, notPort := netip.ParseAddrPort(last)
		if notAddr == nil || notPort == nil {
			out = append(out, last)
		}
	}
	if len(out) == 0 {
		return nil, fault.New(fault.Usage, "%s holds no address", path).Hinted("one address a line, or the format of the root zone's hints file")
	}
	return out, nil
}

func systemResolvers(path string) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil // no resolver is configured: said where it matters
	}
	defer f.Close()
	var out []string
	lines := bufio.NewScanner(f)
	for lines.Scan() && len(out) < 3 {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 2 && fields[0] == "nameserver" {
			if _, err := netip.ParseAddr(fields[1]); err == nil {
				out = append(out, net.JoinHostPort(fields[1], "53"))
			}
		}
	}
	return out
}
