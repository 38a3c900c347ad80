package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"staunch/fault"
	"staunch/see/scan"
	"staunch/see/verdict"
	"staunch/tame"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
)

// rumour is the note that starts an incident's clock before an advisory has an id; `incident open --from-heard` reads it.
type rumour struct {
	Schema    int       `json:"schema"`
	ID        string    `json:"id"`
	Heard     time.Time `json:"heard"`
	Says      string    `json:"says"`
	Component string    `json:"component"`
	Host      string    `json:"host"`
	Holders   []holder  `json:"holders"`
	Seen      int       `json:"processes_seen"`
	Known     int       `json:"processes_known"`
	Note      string    `json:"note,omitempty"` // where this was written
}

// holder is one process that runs the component.
type holder struct {
	PID      int              `json:"pid"`
	Process  string           `json:"process"`
	Unit     string           `json:"unit"`
	Version  string           `json:"version"`
	Linkage  string           `json:"linkage"`
	Path     string           `json:"path"`
	Package  string           `json:"package,omitempty"`
	Exposure verdict.Exposure `json:"exposure"`
}

// newHeard is the sixty seconds before an id exists.
func newHeard(env *Env) *cobra.Command {
	var component, format string
	cmd := &cobra.Command{
		Use:   "heard WHAT",
		Short: "Something is out about a component: start the clock, and say who runs it and who of them is public",
		Long: `For the first minute, when there is a rumour and no advisory yet: notes when you heard it, and lists every process that has the
component in memory, in which version, and who of them faces the public. Nothing is judged, because nothing is known yet.

The component is taken from the words if one of them names a component that runs here; --component names it exactly.
The note is kept in the state directory: staunch incident open --from-heard ID continues from it, with the clock already running.`,
		Example: "  staunch heard \"openssl memory leak\"\n  staunch heard \"something in the xz library\" --component liblzma\n  staunch heard \"openssl memory leak\" --format json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := tableOrJSON(format); err != nil {
				return err
			}
			return runHeard(cmd.Context(), env, args[0], component, format)
		},
	}
	cmd.Flags().StringVar(&component, "component", "", "the component's name (openssl, liblzma, curl, log4j-core ...)")
	cmd.Flags().StringVar(&format, "format", "table", "how to print: table, json")
	complete(cmd, "format", []string{"table", "json"})
	return cmd
}

func runHeard(ctx context.Context, env *Env, says, component, format string) error {
	heard := time.Now().UTC().Truncate(time.Millisecond)
	if strings.TrimSpace(says) == "" {
		return fault.New(fault.Usage, "nothing was heard").Hinted("staunch heard \"openssl memory leak\"")
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fault.New(fault.Bug, "no random numbers: %v", err)
	}
	r := rumour{Schema: 1, ID: id.String(), Heard: heard, Says: says, Component: component, Holders: []holder{}}
	noteErr := r.keep(env) // first of all: whatever happens to the look, the clock runs
	names, err := r.look(ctx, env)
	if err != nil {
		return err
	}
	if noteErr == nil {
		noteErr = r.keep(env)
	}
	if format == "json" {
		err = indented(env.Stdout, r)
	} else {
		err = r.print(env, names)
	}
	if noteErr != nil {
		fmt.Fprintf(env.Stderr, "warning: the note could not be kept, so write the time down: %s\n", tame.Line(noteErr.Error()))
	}
	return err
}

// look finds who holds the component; it returns the names of all components that run here.
func (r *rumour) look(ctx context.Context, env *Env) ([]string, error) {
	bar := newProgress(env)
	report, err := scan.Look(ctx, scan.Question{NoDormant: true}, scan.Env{Cache: scanCache(env), Version: env.Version}, bar.scan)
	bar.done()
	if err != nil {
		return nil, err
	}
	r.Host, r.Seen, r.Known = report.Host, report.Sight.ProcessesSeen, report.Sight.ProcessesKnown
	names := verdict.Components(report)
	if r.Component == "" {
		if r.Component = guess(r.Says, names); r.Component == "" {
			r.Component = strings.Fields(r.Says)[0]
		}
	}
	for _, h := range verdict.Holders(report, r.Component) {
		r.Holders = append(r.Holders, holder{
			PID: h.PID, Process: h.Process, Unit: h.Unit, Version: h.Version, Linkage: string(h.Linkage), Path: h.Path, Package: h.Package, Exposure: h.Exposure,
		})
	}
	return names, nil
}

// guess finds the first word that names something that runs here.
func guess(says string, names []string) string {
	for _, word := range strings.FieldsFunc(strings.ToLower(says), func(r rune) bool { return strings.ContainsRune(" ,.;:!?\"'()", r) }) {
		for _, name := range names {
			if word == strings.ToLower(name) || "lib"+word == strings.ToLower(name) {
				return name
			}
		}
	}
	return ""
}

// keep writes the note; a rumour without a note still gets its answer.
func (r *rumour) keep(env *Env) error {
	dir, err := stateDir(env)
	if err != nil {
		return err
	}
	dir = filepath.Join(dir, "heard")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	r.Note = filepath.Join(dir, r.ID+".json")
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(r.Note, append(b, '\n'), 0o600)
}

func (r *rumour) print(env *Env, names []string) error {
	var b strings.Builder
	p := painter(colour(env))
	fmt.Fprintf(&b, "%s  the clock runs since %s\n", p.bold("Heard: "+tame.Line(r.Says)), r.Heard.Local().Format("2006-01-02 15:04:05 MST"))
	groups := map[string][]holder{}
	for _, h := range r.Holders {
		groups[h.Version] = append(groups[h.Version], h)
	}
	pids, public := map[int]bool{}, map[int]bool{}
	for _, h := range r.Holders {
		pids[h.PID] = true
		if h.Exposure.In == "public" {
			public[h.PID] = true
		}
	}
	if len(r.Holders) == 0 {
		fmt.Fprintf(&b, "\nNo process that was seen has %s in memory. Components that run here: %s.\n", tame.Line(r.Component), tame.Line(few(names, 20)))
	} else {
		fmt.Fprintf(&b, "\n%s in memory of %s, %s\n", p.bold(tame.Line(r.Component)), count(len(pids), "process", "processes"), p.red(fmt.Sprintf("%d of them public", len(public))))
	}
	for _, list := range sortedGroups(groups) {
		fmt.Fprintf(&b, "\n  %s\n", p.bold(tame.Line(strings.TrimSpace(r.Component+" "+versionOr(list[0].Version)))))
		for _, h := range list {
			where := h.Unit
			if where == "" {
				where = "no unit"
			}
			fmt.Fprintf(&b, "    %-9s %s (%d)  %s  %s in %s\n", h.Exposure.In, tame.Line(h.Process), h.PID, tame.Line(where), h.Linkage, tame.Line(h.Path))
		}
	}
	fmt.Fprintf(&b, "\n%d of %d processes seen on %s.\n", r.Seen, r.Known, tame.Line(r.Host))
	if r.Note != "" {
		fmt.Fprintf(&b, "Noted as %s; next: staunch incident open --from-heard %s\n", tame.Line(r.Note), r.ID)
	}
	_, err := io.WriteString(env.Stdout, b.String())
	return err
}

func versionOr(v string) string {
	if v == "" {
		return "(version unknown)"
	}
	return v
}

// sortedGroups puts the versions with public holders first.
func sortedGroups(groups map[string][]holder) [][]holder {
	var list [][]holder
	for _, g := range groups {
		slices.SortStableFunc(g, func(a, b holder) int { return publicFirst(a, b) })
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b []holder) int {
		if c := publicFirst(a[0], b[0]); c != 0 {
			return c
		}
		return strings.Compare(a[0].Version, b[0].Version)
	})
	return list
}

func publicFirst(a, b holder) int {
	order := []string{"public", "internal", "loopback", "none"}
	return slices.Index(order, a.Exposure.In) - slices.Index(order, b.Exposure.In)
}
