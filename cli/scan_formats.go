package cli

import (
	"encoding/json"
	"io"
	"time"

	"staunch/see/verdict"
	"staunch/see/verdict/export"
)

type scanFormat func(env *Env, f scanFlags, doc *verdict.Document) error

func scanFormats() map[string]scanFormat {
	return map[string]scanFormat{
		"table": func(env *Env, f scanFlags, doc *verdict.Document) error {
			return newTable(env, f).print(env.Stdout, doc)
		},
		"json":      func(env *Env, _ scanFlags, doc *verdict.Document) error { return indented(env.Stdout, doc) },
		"openvex":   func(env *Env, _ scanFlags, doc *verdict.Document) error { return export.OpenVEX(env.Stdout, doc) },
		"cyclonedx": func(env *Env, _ scanFlags, doc *verdict.Document) error { return export.CycloneDX(env.Stdout, doc) },
		"html":      func(env *Env, _ scanFlags, doc *verdict.Document) error { return export.HTML(env.Stdout, doc) },
		"jsonl":     func(env *Env, _ scanFlags, doc *verdict.Document) error { return jsonLines(env.Stdout, doc) },
	}
}

func scanFormatNames() []string {
	return []string{"table", "json", "jsonl", "openvex", "cyclonedx", "html"}
}

func indented(w io.Writer, v any) error {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	out.SetIndent("", " ")
	return out.Encode(v)
}

// jsonLines prints one finding a line, then one line of coverage, so that a pipe can work on each as it comes.
func jsonLines(w io.Writer, doc *verdict.Document) error {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	type where struct {
		Schema int       `json:"schema"`
		Kind   string    `json:"kind"`
		Host   string    `json:"host"`
		Taken  time.Time `json:"taken"`
	}
	for i := range doc.Findings {
		line := struct {
			where
			verdict.Finding
		}{where{doc.Schema, "finding", doc.Host, doc.Taken}, doc.Findings[i]}
		if err := out.Encode(line); err != nil {
			return err
		}
	}
	return out.Encode(struct {
		where
		CatalogueDate time.Time        `json:"catalogue_date"`
		Coverage      verdict.Coverage `json:"coverage"`
		Unseen        int              `json:"unseen"`
	}{where{doc.Schema, "coverage", doc.Host, doc.Taken}, doc.CatalogueDate, doc.Coverage, len(doc.Unseen)})
}
