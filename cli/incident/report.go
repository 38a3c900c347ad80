package incident

import (
	"errors"
	"io"
	"os"
	"time"

	"staunch/cli/desk"
	"staunch/fault"
	"staunch/hub/news"
	"staunch/incident/report"

	"github.com/spf13/cobra"
)

// reportVerbs hand over and write up.
func reportVerbs(env *desk.Env, f *desk.Flags) []*cobra.Command {
	return []*cobra.Command{newBrief(env, f), newReport(env, f)}
}

// newsOf is where people get their news of an incident from.
func newsOf(d *desk.Desk) *news.Desk { return &news.Desk{Hub: d.Hub, Notify: d.Notify} }

func newBrief(env *desk.Env, f *desk.Flags) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "brief ID",
		Short: "Hand over: done, running, unknown, next, who holds what",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := desk.TableOrJSON(format); err != nil {
				return err
			}
			return f.With(cmd.Context(), env, true, "", func(d *desk.Desk) error {
				list, err := desk.ReadSigners(env, f.Config, "")
				if err != nil && !fault.Is(err, fault.NotFound) {
					return err
				}
				b, err := newsOf(d).Brief(cmd.Context(), args[0], list)
				if err != nil {
					return err
				}
				if format == "json" {
					return desk.JSON(env.Stdout, b)
				}
				return b.Text(env.Stdout)
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table or json")
	return cmd
}

func newReport(env *desk.Env, f *desk.Flags) *cobra.Command {
	var format, out, zone string
	var all bool
	cmd := &cobra.Command{
		Use:     "report ID",
		Short:   "The write-up, from the ledger alone: Markdown, or one self-contained HTML file",
		Example: "  staunch incident report 7 > report.md\n  staunch incident report 7 --format html -o report.html --zone Europe/Berlin",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			local, err := time.LoadLocation(zone)
			if err != nil {
				return fault.New(fault.Usage, "time zone %q: %v", zone, err).Hinted("as in Europe/Berlin")
			}
			return f.With(cmd.Context(), env, true, "", func(d *desk.Desk) error {
				r, err := newsOf(d).Report(cmd.Context(), args[0], local)
				if err != nil {
					return err
				}
				return writeReport(env, r, format, out, all)
			})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&format, "format", "md", "md or html")
	fl.StringVarP(&out, "output", "o", "", "file to write (default: standard output)")
	fl.StringVar(&zone, "zone", "Local", "the readers' time zone, beside UTC")
	fl.BoolVar(&all, "all", false, "md: single steps in the timeline, too")
	return cmd
}

func writeReport(env *desk.Env, r *report.Report, format, out string, all bool) error {
	write := func(w io.Writer) error { return r.Markdown(w, all) }
	switch format {
	case "md", "markdown":
	case "html":
		write = r.HTML
	default:
		return fault.New(fault.Usage, "--format %q: md or html", format)
	}
	if out == "" {
		return write(env.Stdout)
	}
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fault.New(fault.Denied, "%v", err)
	}
	return errors.Join(write(f), f.Close())
}
