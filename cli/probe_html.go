package cli

import (
	_ "embed" // the page is data
	"html/template"
	"io"
	"time"

	"staunch/see/probe"
)

//go:embed probe.html
var probePage string

// probeHTML writes one page that needs nothing else: no script, no font, no address is fetched.
func probeHTML(w io.Writer, all []probe.Result, now time.Time) error {
	page, err := template.New("probe").Funcs(template.FuncMap{
		"where": whereOf, "letter": letterOf, "heartbleed": heartbleedOf, "versions": versionsOf, "key": keyOf, "expires": expiryOf, "trust": trustOf,
		"vulnerable": func(r probe.Result) bool { return badResult(r, "") },
	}).Parse(probePage)
	if err != nil {
		return err
	}
	return page.Execute(w, map[string]any{"Results": all, "Taken": now.UTC().Format(time.RFC3339)})
}
