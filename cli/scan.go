package cli

import (
	"encoding/json"
	"path/filepath"

	"staunch/fault"
	"staunch/see/scan"

	"github.com/spf13/cobra"
)

// newScan is the main job: what runs on this machine.
func newScan(env *Env) *cobra.Command {
	var q scan.Question
	var format string
	cmd := &cobra.Command{
		Use:     "scan",
		Short:   "Tell which running processes hold which components",
		Example: "  staunch scan --format json\n  staunch scan --pid 4711 --format json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "json" {
				return fault.New(fault.Usage, "unknown format %q", format).Hinted("known: json")
			}
			report, err := scan.Look(cmd.Context(), q, scan.Env{Cache: scanCache(env), Version: env.Version}, nil)
			if err != nil {
				return err
			}
			out := json.NewEncoder(env.Stdout)
			out.SetIndent("", " ")
			return out.Encode(report)
		},
	}
	f := cmd.Flags()
	f.StringVar(&format, "format", "json", "how to print: json")
	f.IntSliceVar(&q.PIDs, "pid", nil, "only these processes")
	f.StringSliceVar(&q.Units, "unit", nil, "only processes of these systemd units")
	f.BoolVar(&q.Args, "args", false, "include the processes' arguments (they may hold secrets)")
	f.BoolVar(&q.NoCache, "no-cache", false, "analyse every object anew")
	return cmd
}

// scanCache is where analysed objects are kept: $XDG_CACHE_HOME/staunch, "" without a home.
func scanCache(env *Env) string {
	if dir := env.Getenv("XDG_CACHE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "staunch")
	}
	if home := env.Getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".cache", "staunch")
	}
	return ""
}
