package export

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"staunch/page"
	"staunch/see/verdict"
)

//go:embed page.html
var pageText string

// HTML writes one self-contained page with the same facts as the document: it loads nothing and needs no script.
func HTML(w io.Writer, doc *verdict.Document) error {
	t, err := page.Parse(pageText, template.FuncMap{
		"word": func(s any) string { return strings.ReplaceAll(fmt.Sprint(s), "_", " ") },
		"join": strings.Join,
		"title": func(f verdict.Finding) string {
			return strings.TrimSpace(f.Advisory + " " + strings.Join(f.Names, ", "))
		},
	})
	if err != nil {
		return err
	}
	counts, bad := map[verdict.State]int{}, map[int]bool{}
	for _, f := range doc.Findings {
		counts[f.State]++
		if f.Bad() {
			bad[f.PID] = true
		}
	}
	return t.Execute(w, struct {
		*verdict.Document
		Graph  Graph
		Counts map[verdict.State]int
		Bad    int // processes
		States []verdict.State
	}{
		doc, draw(doc), counts, len(bad),
		[]verdict.State{verdict.Affected, verdict.Stale, verdict.Unknown, verdict.Dormant, verdict.Fixed, verdict.NotAffected},
	})
}
