package scan

import (
	"staunch/cli/desk"
	"staunch/ink"
	"staunch/see/tell"
	"staunch/see/verdict"
	"staunch/see/verdict/export"
)

type scanFormat func(env *desk.Env, f scanFlags, doc *verdict.Document) error

func scanFormats() map[string]scanFormat {
	return map[string]scanFormat{
		"table": func(env *desk.Env, f scanFlags, doc *verdict.Document) error {
			return newTable(env, f).Print(env.Stdout, doc)
		},
		"json":    func(env *desk.Env, _ scanFlags, doc *verdict.Document) error { return desk.JSON(env.Stdout, doc) },
		"openvex": func(env *desk.Env, _ scanFlags, doc *verdict.Document) error { return export.OpenVEX(env.Stdout, doc) },
		"cyclonedx": func(env *desk.Env, _ scanFlags, doc *verdict.Document) error {
			return export.CycloneDX(env.Stdout, doc)
		},
		"html":  func(env *desk.Env, _ scanFlags, doc *verdict.Document) error { return export.HTML(env.Stdout, doc) },
		"jsonl": func(env *desk.Env, _ scanFlags, doc *verdict.Document) error { return tell.Lines(env.Stdout, doc) },
	}
}

func scanFormatNames() []string {
	return []string{"table", "json", "jsonl", "openvex", "cyclonedx", "html"}
}

func newTable(env *desk.Env, f scanFlags) tell.Table {
	return tell.Table{Width: min(desk.Width(env), 140), Paint: ink.Paint(desk.Colour(env)), Advisory: f.advisory, Verbose: f.verbose, Still: f.still()}
}
