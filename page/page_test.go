package page_test

import (
	"html/template"
	"strings"
	"testing"

	"staunch/page"
)

// A page is whole, fetches nothing, and what comes from outside cannot leave the text it stands in.
func TestAPageIsWholeAndFetchesNothing(t *testing.T) {
	p, err := page.Parse(`{{define "title"}}{{.}}{{end}}{{define "body"}}<h1>{{loud .}}</h1>{{end}}`, template.FuncMap{"loud": strings.ToUpper})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := p.Execute(&out, `</title><script src="//evil.example/x">`); err != nil {
		t.Fatal(err)
	}
	got := out.String()
	for _, want := range []string{"<!doctype html>", "default-src 'none'", "prefers-color-scheme: dark", "@media print", "--bad: #b3261e", "</html>"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in the page", want)
		}
	}
	for _, bad := range []string{"<script", "http://", "https://", "@import", "url("} {
		if strings.Contains(strings.ToLower(got), bad) {
			t.Errorf("%q is in the page", bad)
		}
	}
}

func TestAPartThatDefinesNothingIsRefused(t *testing.T) {
	p, err := page.Parse(`{{define "title"}}x{{end}}`, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Execute(new(strings.Builder), nil); err == nil {
		t.Error("a page without a body was written")
	}
}
