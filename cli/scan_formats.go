package cli

import (
	"staunch/ink"
	"staunch/see/tell"
	"staunch/see/verdict"
	"staunch/see/verdict/export"
)

type scanFormat func(env *Env, f scanFlags, doc *verdict.Document) error

func scanFormats() map[string]scanFormat {
	return map[string]scanFormat{
		"table": func(env *Env, f scanFlags, doc *verdict.Document) error {
			return newTable(env, f).Print(env.Stdout, doc)
		},
		"json":      func(env *Env, _ scanFlags, doc *verdict.Document) error { return indented(env.Stdout, doc) },
		"openvex":   func(env *Env, _ scanFlags, doc *verdict.Document) error { return export.OpenVEX(env.Stdout, doc) },
		"cyclonedx": func(env *Env, _ scanFlags, doc *verdict.Document) error { return export.CycloneDX(env.Stdout, doc) },
		"html":      func(env *Env, _ scanFlags, doc *verdict.Document) error { return export.HTML(env.Stdout, doc) },
		"jsonl":     func(env *Env, _ scanFlags, doc *verdict.Document) error { return tell.Lines(env.Stdout, doc) },
	}
}

func scanFormatNames() []string {
	return []string{"table", "json", "jsonl", "openvex", "cyclonedx", "html"}
}

func newTable(env *Env, f scanFlags) tell.Table {
	return tell.Table{Width: min(terminalWidth(env), 140), Paint: ink.Paint(colour(env)), Advisory: f.advisory, Verbose: f.verbose, Still: f.still()}
}
