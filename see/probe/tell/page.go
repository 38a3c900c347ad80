package tell

import (
	_ "embed" // the page is data
	"html/template"
	"io"
	"strings"
	"time"

	"staunch/page"
	"staunch/see/probe"
	"staunch/see/probe/grade"
)

//go:embed probe.html
var pageText string

// counted is a number with its words and the kind of news that it is.
type counted struct {
	What, News string
	N          int
}

// Page writes one page that needs nothing else: no script, no font, no address is fetched.
func Page(w io.Writer, all []probe.Result, now time.Time) error {
	whole, err := page.Parse(pageText, template.FuncMap{
		"where": whereOf, "letter": letterOf, "heartbleed": heartbleedOf, "versions": versionsOf, "key": keyOf, "expires": expiryOf, "trust": trustOf, "yes": yes,
		"vulnerable": func(r probe.Result) bool { return probe.Bad(r, "") }, "news": resultNews, "heartNews": heartNews, "capNews": capNews,
		"spaced": func(s string) string { return strings.ReplaceAll(s, "_", " ") },
		"score": func(g *grade.Grade) []counted {
			return []counted{{What: "protocol", N: g.Protocol}, {What: "key exchange", N: g.KeyExchange}, {What: "cipher", N: g.Cipher}}
		},
	})
	if err != nil {
		return err
	}
	return whole.Execute(w, map[string]any{"Results": all, "Taken": now.UTC().Format("2006-01-02 15:04:05 UTC"), "Counts": probeCounts(all)})
}

// probeCounts says how many addresses there are of each kind of news, the bad ones first.
func probeCounts(all []probe.Result) []counted {
	kinds := []counted{{What: "bad", News: "bad"}, {What: "not or not fully seen", News: "doubt"}, {What: "with a better letter to get", News: "warn"}, {What: "good", News: "good"}}
	var some []counted
	for _, k := range kinds {
		for _, r := range all {
			if resultNews(r) == k.News {
				k.N++
			}
		}
		if k.N > 0 {
			some = append(some, k)
		}
	}
	return some
}

func resultNews(r probe.Result) string {
	switch {
	case probe.Bad(r, "") || r.Grade != nil && strings.Contains("TM", r.Grade.Letter):
		return "bad"
	case !r.Complete():
		return "doubt"
	case r.Grade != nil && !strings.HasPrefix(r.Grade.Letter, "A"):
		return "warn"
	}
	return "good"
}

func heartNews(r probe.Result) string {
	switch r.Heartbleed.Verdict {
	case probe.Vulnerable:
		return "bad"
	case probe.Patched, probe.NoHeartbeat:
		return "good"
	case probe.NotTested:
		return "none"
	}
	return "doubt"
}

func capNews(letter string) string {
	if strings.Contains("TMF", letter) {
		return "bad"
	}
	return "warn"
}
