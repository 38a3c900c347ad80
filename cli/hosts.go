package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"staunch/fault"
	"staunch/ink"
	"staunch/reach/fleet"
	"staunch/reach/fleet/borrow"
	"staunch/reach/host"
	"staunch/tame"

	"github.com/spf13/cobra"
)

const hostsExamples = `  staunch hosts                                 every host of staunch.yaml
  staunch hosts 'ring=production & web'         a part of it
  staunch hosts --check                         connects: rights, sudo, disk, systemd, clock
  staunch hosts import /etc/ansible/hosts       begins a staunch.yaml from what you have
  staunch hosts clean web1                      removes what staunch keeps on a host to be fast`

// hostList is what the flags of hosts say.
type hostList struct {
	reaching
	env    *Env
	check  bool
	format string
}

// newHosts lists the fleet.
func newHosts(env *Env) *cobra.Command {
	l := &hostList{env: env}
	cmd := &cobra.Command{
		Use: "hosts [SELECTOR]", Short: "List hosts, check what is missing to reach them, import inventories", Example: hostsExamples,
		Long: `Lists the hosts of the inventory, or those that a selector names: web, ring=canary, 'web & !db1', web[01-20], @file
(docs/fleet.md has the grammar).

With --check it connects to each and tells what is missing: rights, sudo, room on disks, systemd, a right clock.
Exit codes: 0 all well; 1 something is missing; 2 could not look; 3 a host could not be reached.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if l.format != "table" && l.format != "json" {
				return fault.New(fault.Usage, "unknown format %q", l.format).Hinted("known: table, json")
			}
			known, hosts, err := l.hosts(env, strings.Join(args, " "))
			if err != nil {
				return err
			}
			switch {
			case len(hosts) == 0:
				fmt.Fprintf(env.Stderr, "note: %s names no host yet\n", known.Source)
			case strings.Contains(known.Source, "there is no "+fleet.FileName):
				fmt.Fprintf(env.Stderr, "note: from %s\n", known.Source)
			}
			if l.check {
				return l.checkAll(cmd.Context(), env, hosts)
			}
			return l.list(env, hosts)
		},
	}
	l.define(cmd)
	cmd.Flags().BoolVar(&l.check, "check", false, "connect to each host and tell what is missing")
	cmd.Flags().StringVar(&l.format, "format", "table", "table or json")
	cmd.AddCommand(newHostsImport(env), newHostsClean(env))
	return cmd
}

func (l *hostList) list(env *Env, hosts []fleet.Host) error {
	if l.format == "json" {
		return indented(env.Stdout, hosts)
	}
	rows := [][]string{{"HOST", "RING", "ADDRESS", "LABELS", "NOTE"}}
	for _, h := range hosts {
		rows = append(rows, []string{h.Name, h.Ring, h.Dial(), labelWords(h), note(h)})
	}
	_, err := io.WriteString(env.Stdout, columns(rows, terminalWidth(env)))
	return err
}

// columns sets rows under each other; the last column hangs where it does not fit.
func columns(rows [][]string, width int) string {
	wide := make([]int, len(rows[0])-1)
	for _, row := range rows {
		for i := range wide {
			wide[i] = max(wide[i], ink.Columns(row[i]))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		lead := ""
		for i, w := range wide {
			lead += row[i] + strings.Repeat(" ", w-ink.Columns(row[i])+2)
		}
		ink.Hang(&b, width, lead, row[len(wide)])
	}
	return b.String()
}

// note says why a host is not covered, and what alone restarts it.
func note(h fleet.Host) string {
	if h.NotCovered() == "" {
		return ""
	}
	return h.NotCovered() + "; " + h.RestartedBy()
}

func labelWords(h fleet.Host) string {
	var words []string
	for k, v := range h.Labels {
		if v != "" {
			k += "=" + v
		}
		words = append(words, k)
	}
	slices.Sort(words)
	return tame.Line(strings.Join(words, " "))
}

// checked is one line of --check.
type checked struct {
	Host    string       `json:"host"`
	Missing []string     `json:"missing"`
	Health  *host.Health `json:"health,omitempty"`
	Error   *fault.Error `json:"error,omitempty"`
	TookMS  int64        `json:"took_ms"`
	// NotCovered says why nothing is asked of the host, and that is no fault.
	NotCovered string `json:"not_covered,omitempty"`
}

func (l *hostList) checkAll(ctx context.Context, env *Env, hosts []fleet.Host) error {
	all := each(ctx, env, &l.reaching, hosts, func(ctx context.Context, h host.Host, p func(host.Progress)) (checked, error) {
		began := time.Now()
		a, err := h.Look(ctx, host.Question{Health: &host.HealthQuestion{}}, p)
		if err != nil {
			return checked{}, err
		}
		took := time.Since(began)
		return checked{Missing: missing(a.Health, began, took), Health: a.Health, TookMS: took.Milliseconds()}, nil
	})
	code, rows := ExitClean, make([]checked, len(all))
	for i, a := range all {
		rows[i] = a.Got
		rows[i].Host, rows[i].NotCovered = a.Host.Name, a.Host.NotCovered()
		switch {
		case rows[i].NotCovered != "":
			rows[i].Missing = []string{} // nothing is asked of it
		case a.Err != nil:
			rows[i].Error = fault.From(a.Err, fault.Bug)
			rows[i].Missing = []string{a.Err.Error()}
			code = cmp.Or(code, ExitIncomplete)
		case len(a.Got.Missing) > 0:
			code = ExitFound
		}
	}
	if err := l.printChecked(env.Stdout, rows); err != nil {
		return err
	}
	if code != ExitClean {
		return exit(code)
	}
	return nil
}

func (l *hostList) printChecked(out io.Writer, rows []checked) error {
	if l.format == "json" {
		return indented(out, rows)
	}
	width, name, well, covered := terminalWidth(l.env), len("HOST"), 0, 0
	for _, r := range rows {
		name = max(name, ink.Columns(r.Host))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-*s  %-11s  %s\n", name, "HOST", "STATE", "MISSING")
	for _, r := range rows {
		if r.NotCovered == "" {
			covered++
		}
		state, says := r.words()
		if state == "ok" {
			well++
		}
		lead := fmt.Sprintf("%-*s  %-11s  ", name, r.Host, state)
		for i, line := range says {
			if i > 0 {
				lead = strings.Repeat(" ", ink.Columns(lead))
			}
			ink.Hang(&b, width, lead, tame.Line(line))
		}
	}
	fmt.Fprintf(&b, "\n%d of %s ready", well, ink.Count(covered, "host is", "hosts are"))
	if covered < len(rows) {
		fmt.Fprintf(&b, ", %d not covered", len(rows)-covered)
	}
	b.WriteString("\n")
	toDo(&b, width, rows)
	_, err := io.WriteString(out, b.String())
	return err
}

// words are a row's state, and what it says, a line each.
func (r checked) words() (state string, says []string) {
	switch {
	case r.NotCovered != "":
		return "not covered", []string{strings.TrimPrefix(r.NotCovered, "not covered: ")}
	case r.Error != nil:
		return "not reached", []string{strings.TrimPrefix(r.Error.What, r.Host+": ")}
	case len(r.Missing) > 0:
		return "lacks", r.Missing
	}
	return "ok", []string{""}
}

// toDo names each way out once, with the hosts that it is for.
func toDo(b *strings.Builder, width int, rows []checked) {
	hosts := map[string][]string{}
	var order []string
	for _, r := range rows {
		hint := ""
		switch {
		case r.Error != nil && r.NotCovered == "":
			hint = r.Error.Hint
		case r.Health != nil && !r.Health.Root:
			hint = "if sudo there asks for a password: --ask-sudo-password; else let this user run sudo, or log in as root"
		}
		if hint == "" {
			continue
		}
		if hosts[hint] == nil {
			order = append(order, hint)
		}
		hosts[hint] = append(hosts[hint], r.Host)
	}
	for _, hint := range order {
		ink.Wrap(b, width, "", ink.Few(hosts[hint], 8)+": "+tame.Line(hint))
	}
}

// What --check asks of a host.
const (
	wantedRoom = 200 << 20 // bytes on each disk, for packages and their saved predecessors
	clockSlack = 30 * time.Second
)

// missing tells what a host lacks. Its clock is compared with ours at the middle of the question.
func missing(h *host.Health, asked time.Time, took time.Duration) []string {
	lacks := []string{}
	if !h.Root {
		lacks = append(lacks, "root rights: processes of others are not seen, nothing can be changed")
	}
	var full []string
	for dir, free := range h.DiskFree {
		if free < wantedRoom {
			full = append(full, fmt.Sprintf("room on %s: %d MB left", dir, free>>20))
		}
	}
	slices.Sort(full)
	lacks = append(lacks, full...)
	if off := time.UnixMilli(h.ClockMS).Sub(asked.Add(took / 2)); off.Abs() > clockSlack {
		lacks = append(lacks, "a right clock: it is off by "+off.Round(time.Second).String())
	}
	return append(lacks, h.Problems...)
}

func newHostsImport(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "import FILE", Short: "Print a staunch.yaml made of another inventory", Args: cobra.ExactArgs(1),
		Long: "Reads an Ansible inventory (INI, YAML, or what ansible-inventory --list prints), an ssh configuration or a list of names,\nand prints a staunch.yaml to begin with. \"-\" reads stdin.",
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := borrowed(env, args[0])
			if err != nil {
				return err
			}
			out, err := borrow.Write(f)
			if err != nil {
				return err
			}
			_, err = env.Stdout.Write(out)
			return err
		},
	}
}

func borrowed(env *Env, path string) (*fleet.Fleet, error) {
	if path == "-" {
		return borrow.Stream(env.Stdin, "stdin")
	}
	return borrow.File(path)
}

func newHostsClean(env *Env) *cobra.Command {
	r := &reaching{}
	cmd := &cobra.Command{
		Use: "clean SELECTOR", Short: "Remove from hosts what staunch keeps there to be fast", Args: cobra.ExactArgs(1),
		Long: "Removes the host part and its cache (/var/cache/staunch-host, ~/.cache/staunch-host). The journal of orders\n(/var/lib/staunch-host) stays: it is what keeps an order from being done twice.",
		RunE: func(cmd *cobra.Command, args []string) error {
			_, hosts, err := r.hosts(env, args[0])
			if err != nil {
				return err
			}
			return cleanHosts(cmd.Context(), env, r, hosts)
		},
	}
	r.define(cmd)
	return cmd
}

func cleanHosts(ctx context.Context, env *Env, r *reaching, hosts []fleet.Host) error {
	crew := r.crew(env)
	defer crew.close()
	all := parallel(hosts, r.forks, func(h fleet.Host) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, r.patience)
		defer cancel()
		return crew.dialer.Clean(ctx, h)
	})
	removed, failed := 0, 0
	for _, a := range all {
		switch {
		case a.Err != nil:
			failed++
			complain(env.Stderr, a.Err)
		case a.Got:
			removed++
		}
	}
	fmt.Fprintf(env.Stdout, "removed from %d hosts, %s had nothing, %d could not be cleaned\n", removed, strconv.Itoa(len(all)-removed-failed), failed)
	if failed > 0 {
		return exit(ExitIncomplete)
	}
	return nil
}
