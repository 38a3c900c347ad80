package why

import (
	_ "embed"
	"html/template"
	"io"
	"math"

	"staunch/page"
)

//go:embed page.html
var pageSource string

// WritePage writes the explanation as one self-contained HTML page that a support person can send.
func WritePage(w io.Writer, a Answer) error {
	funcs := template.FuncMap{
		"name":  layerName,
		"state": verdictState,
		"share": func(a Answer, l Layer) int {
			longest := 1.0
			for _, x := range a.Layers {
				longest = max(longest, x.TookMS)
			}
			return int(math.Ceil(100 * l.TookMS / longest))
		},
		"all": func(a Answer) []Answer { return append([]Answer{a}, a.Redirects...) },
	}
	whole, err := page.Parse(pageSource, funcs)
	if err != nil {
		return err
	}
	return whole.Execute(w, a)
}
