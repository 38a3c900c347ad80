package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/ledger"
	"staunch/tame"

	"github.com/spf13/cobra"
)

// timeline is what one call of `staunch timeline` asks for.
type timeline struct {
	file, stream, kind, by, source, since, until, format string
	last                                                 int
	follow, utc, seals                                   bool
}

// NewTimeline reads the ledger for people.
func NewTimeline(env *desk.Env) *cobra.Command {
	var t timeline
	cmd := &cobra.Command{
		Use:   "timeline",
		Short: "Everything that happened, in order, in local time and UTC",
		Long: `Prints the ledger's events in their one global order. The order is the ledger's, not the clocks': where the clock of
whoever wrote an event disagrees with the ledger's by more than a minute, the line says so.`,
		Example: "  staunch timeline --incident 7\n  staunch timeline --since 1h --kind 'run.*' --follow\n  staunch timeline --by ada --format json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.run(cmd.Context(), env)
		},
	}
	f := cmd.Flags()
	f.StringVar(&t.file, "ledger", "", "ledger file (default: ledger.db in the state directory)")
	f.StringVar(&t.stream, "stream", "", "only this stream; a trailing * selects all that begin so")
	f.StringVar(&t.kind, "kind", "", "only this kind of event; a trailing * selects all that begin so")
	f.StringVar(&t.by, "by", "", "only what this person or part did")
	f.StringVar(&t.source, "source", "", "only what this machine wrote")
	f.StringVar(&t.since, "since", "", "from then on: a time (2014-04-08T01:00:00Z, 01:00) or how long ago (90m)")
	f.StringVar(&t.until, "until", "", "up to then, as --since")
	f.IntVar(&t.last, "last", 0, "only the last N that are selected")
	f.BoolVarP(&t.follow, "follow", "f", false, "go on with what happens next")
	f.BoolVar(&t.utc, "utc", false, "UTC only")
	f.BoolVar(&t.seals, "seals", false, "also the ledger's own seals")
	f.StringVar(&t.format, "format", "text", "text or json (one event a line)")
	f.Func("incident", "only this incident, its plans and runs", func(id string) error {
		t.stream = "incident/" + id
		return nil
	})
	return cmd
}

func (t *timeline) run(ctx context.Context, env *desk.Env) error {
	keep, err := t.filter(time.Now())
	if err != nil {
		return err
	}
	s, err := desk.OpenLedger(ctx, env, t.file, true)
	if err != nil {
		return err
	}
	show := func(e ledger.Event) error { return t.show(env.Stdout, e) }
	last, err := t.past(ctx, s, keep, show)
	if err == nil && t.follow {
		for e, errNext := range s.Follow(ctx, ledger.Query{After: last}) {
			if errNext != nil {
				err = errNext
				break
			}
			if keep(e) {
				if err = show(e); err != nil {
					break
				}
			}
		}
	}
	return errors.Join(err, s.Close())
}

// past shows what is there, or its last lines, and returns the number of the last event read.
func (t *timeline) past(ctx context.Context, l ledger.Ledger, keep func(ledger.Event) bool, show func(ledger.Event) error) (int64, error) {
	var seq int64
	var tail []ledger.Event
	for e, err := range l.Read(ctx, ledger.Query{}) {
		if err != nil {
			return seq, err
		}
		seq = e.Seq
		switch {
		case !keep(e):
		case t.last == 0:
			if err := show(e); err != nil {
				return seq, err
			}
		default:
			tail = append(tail, e)
			tail = tail[max(0, len(tail)-t.last):]
		}
	}
	for _, e := range tail {
		if err := show(e); err != nil {
			return seq, err
		}
	}
	return seq, nil
}

func (t *timeline) filter(now time.Time) (func(ledger.Event) bool, error) {
	since, err := desk.Moment(t.since, now)
	if err != nil {
		return nil, err
	}
	until, err := desk.Moment(t.until, now)
	if err != nil {
		return nil, err
	}
	if t.format != "text" && t.format != "json" {
		return nil, fault.New(fault.Usage, "--format %q: text or json", t.format)
	}
	return func(e ledger.Event) bool {
		return (t.seals || e.Kind != ledger.SealKind) && t.ofStream(e.Stream) && like(t.kind, e.Kind) && like(t.by, e.By) && like(t.source, e.Source) &&
			(since.IsZero() || !e.At.Before(since)) && (until.IsZero() || !e.At.After(until))
	}, nil
}

// ofStream: an incident's streams are incident/7 itself and everything of its plans, run/7.1.
func (t *timeline) ofStream(stream string) bool {
	if id, ok := strings.CutPrefix(t.stream, "incident/"); ok && strings.HasPrefix(stream, "run/"+id+".") {
		return true
	}
	return like(t.stream, stream)
}

func like(pattern, s string) bool {
	if prefix, many := strings.CutSuffix(pattern, "*"); many {
		return strings.HasPrefix(s, prefix)
	}
	return pattern == "" || pattern == s
}

func (t *timeline) show(w io.Writer, e ledger.Event) error {
	if t.format == "json" {
		b, err := json.Marshal(e)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s\n", b)
		return err
	}
	when := e.At.UTC().Format("2006-01-02 15:04:05Z")
	if !t.utc {
		when = localTime(e.At)
	}
	_, err := fmt.Fprintf(w, "%s  %s\n", when, line(e))
	return err
}

// localTime is a moment in this machine's zone, with UTC beside it where that is another.
func localTime(at time.Time) string {
	local := at.Local()
	if _, offset := local.Zone(); offset == 0 {
		return at.UTC().Format("2006-01-02 15:04:05Z")
	}
	return local.Format("2006-01-02 15:04:05 MST") + " (" + at.UTC().Format("15:04:05Z") + ")"
}

// line words an event for people: which stream, who, and what its data says of itself.
func line(e ledger.Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-14s ", e.Stream)
	if e.By != "" {
		fmt.Fprintf(&b, "%s: ", e.By)
	}
	b.WriteString(words(e))
	if e.Source != "" {
		fmt.Fprintf(&b, " [on %s]", e.Source)
	}
	switch apart := e.At.Sub(e.Stored); {
	case apart > time.Minute:
		fmt.Fprintf(&b, " (clock is %s ahead of the ledger's)", apart.Round(time.Second))
	case apart < -time.Minute:
		fmt.Fprintf(&b, " (entered the ledger %s later)", (-apart).Round(time.Second))
	}
	return tame.Line(b.String())
}

// words is the sentence that the data holds, with the step and target it is about; data without one is shown as it is.
func words(e ledger.Event) string {
	var data struct {
		Says   string `json:"says"`
		Step   string `json:"step"`
		Target string `json:"target"`
		Status string `json:"status"`
	}
	const most = 160
	if json.Unmarshal(e.Data, &data) != nil || data.Says == "" && data.Step == "" {
		raw := string(e.Data)
		if len(raw) > most {
			raw = strings.ToValidUTF8(raw[:most], "") + "..."
		}
		return strings.TrimSpace(e.Kind + " " + raw)
	}
	if _, ours := strings.CutPrefix(e.Stream, "incident/"); ours && data.Says != "" && data.Step == "" {
		return data.Says // a whole sentence
	}
	parts := []string{e.Kind}
	for _, part := range []string{data.Step, data.Target, data.Status} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if data.Says == "" {
		return strings.Join(parts, " ")
	}
	return strings.Join(parts, " ") + ": " + data.Says
}
