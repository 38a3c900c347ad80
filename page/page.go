// Package page is how every page that staunch writes into a file looks: one frame and one style sheet, in light, dark and on paper, that fetch nothing.
package page

import (
	_ "embed" // the frame and the style sheet are data
	"html/template"
	"strings"
)

//go:embed frame.html
var frame string

//go:embed page.css
var style string

// Parse reads a page's own part, which defines the templates "title" (plain text) and "body", and may define "style" for what only this page has.
// The result writes the whole page when it is executed. page.css says which classes there are.
func Parse(own string, funcs template.FuncMap) (*template.Template, error) {
	sheet := func() template.CSS { return template.CSS(strings.TrimSpace(style)) } //nolint:gosec // our own file
	t, err := template.New("page").Funcs(template.FuncMap{"sheet": sheet}).Funcs(funcs).Parse(frame)
	if err != nil {
		return nil, err
	}
	return t.Parse(own)
}
