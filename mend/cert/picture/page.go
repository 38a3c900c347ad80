package picture

import (
	_ "embed" // the page is data
	"html/template"
	"io"
	"strings"
	"time"

	"staunch/fault"
	"staunch/mend/cert"
	"staunch/page"
	"staunch/tame"
)

//go:embed page.html
var source string

// Page writes everything that is known of keys as one HTML page that fetches nothing.
func Page(w io.Writer, c cert.Catalogue, who Who, now time.Time) error {
	t, err := page.Parse(source, template.FuncMap{
		"tame": tame.Line, "ends": Ends, "type": Type, "join": strings.Join, "day": func(t time.Time) string { return t.Format(time.DateOnly) }, "who": func(issuer string) string { return who(issuer) },
		"draw":  func(k cert.Key) template.HTML { return template.HTML(SVG(k, who)) }, //nolint:gosec // SVG escapes what it is given
		"style": func() template.CSS { return template.CSS(Style) },
		"exposed": func() int {
			n := 0
			for _, k := range c.Keys {
				if len(k.Exposed) > 0 {
					n++
				}
			}
			return n
		},
		"short": func(spki string) string { return spki[:min(16, len(spki))] },
		"now":   func() string { return now.UTC().Format("2006-01-02 15:04Z") },
	})
	if err != nil {
		return fault.New(fault.Bug, "%v", err)
	}
	return t.Execute(w, c)
}
