package picture

import (
	"bytes"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"staunch/fault"
	"staunch/page"
	"staunch/steer/plan"
	"staunch/tame"
)

// HTML writes the picture and everything that the plan says as one page that fetches nothing.
func HTML(w io.Writer, sealed *plan.Sealed) error {
	var svg bytes.Buffer
	if err := SVG(&svg, sealed.Plan()); err != nil {
		return err
	}
	whole, err := page.Parse(planPage, template.FuncMap{
		"tame": tame.Line, "rings": newGraph(sealed.Plan()).rings, "ringName": ringName, "where": where,
		"picture": func() template.HTML { return template.HTML(svg.String()) }, //nolint:gosec // drawn here, every text in it escaped
		"in":      func(ring string, s plan.Step) bool { return s.Ring == ring },
		"facts":   facts, "after": func(s plan.Step) string { return strings.Join(slices.Concat(s.After, s.Each), ", ") },
		"hosts": func(s plan.Step) string { return strings.Join(keys(s.Targets), ", ") }, "time": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04Z") },
		"seconds": func(ms int64) string { return (time.Duration(ms) * time.Millisecond).String() },
	})
	if err != nil {
		return fault.New(fault.Bug, "the plan's page: %v", err)
	}
	return whole.Execute(w, struct {
		Digest string
		Legend string
		*plan.Plan
	}{sealed.Digest, "blue: changes something; dashed: only makes safer; green: must be proven before what follows; orange: a person; thick: strangers can reach it", sealed.Plan()})
}

func facts(list []plan.Predicate) string {
	if len(list) == 0 {
		return "nothing"
	}
	words := make([]string, len(list))
	for i, p := range list {
		words[i] = p.String()
	}
	return tame.Line(strings.Join(words, "; "))
}

func keys(targets []plan.Target) []string {
	out := make([]string, len(targets))
	for i, t := range targets {
		out[i] = tame.Line(t.Key())
	}
	return out
}

const planPage = `{{define "title"}}Plan {{.ID}}: {{tame .Title}}{{end}}
{{define "style"}}.picture{overflow-x:auto}.picture svg{max-width:100%;min-width:52rem;height:auto}dt{color:var(--soft)}dl{display:grid;grid-template-columns:6rem 1fr;gap:.1rem .8rem;margin:.3rem 0}dd{margin:0;overflow-wrap:anywhere}{{end}}
{{define "body"}}<h1>Plan {{.ID}}: {{tame .Title}}</h1>
<p class="soft">Digest <code>{{.Digest}}</code>. Made {{time .Made}} by {{tame .MadeBy}}; no step begins after {{time .Expires}}. Urgency {{.Pace.Urgency}}: each ring is watched for {{seconds .Pace.SoakMS}}.</p>
{{range .Pace.GaveUp}}<div class="note warn">Given up for speed: {{tame .}}</div>{{end}}
{{range .Unseen}}<div class="note unknown">Not reached: {{tame .Host}} ({{tame .Why}})</div>{{end}}
{{range .Waivers}}<div class="note bad">{{tame .Host}} may be vulnerable to {{tame .Advisory}} until {{time .Until}}: {{tame .Reason}} ({{tame .By}} signed it)</div>{{end}}
<h2>The way</h2><div class="picture">{{picture}}</div><p class="soft">{{.Legend}}</p>
{{$steps := .Steps}}{{range rings}}{{$ring := .}}<h2>{{ringName .}}</h2>
{{range $steps}}{{if in $ring .}}<h3 id="step-{{tame .ID}}">{{tame .ID}}</h3><p>{{tame .Says}}</p>
<dl><dt>on</dt><dd>{{hosts .}}</dd>{{if .Act}}<dt>does</dt><dd><code>{{.Act.Kind}} {{tame (printf "%s" .Act.With)}}</code></dd>{{end}}
{{with .Task}}<dt>person</dt><dd>{{tame .Owner}}: {{tame .Asks}} (until {{time .Due}})</dd>{{end}}
{{with after .}}<dt>after</dt><dd>{{.}}</dd>{{end}}<dt>needs</dt><dd>{{facts .Needs}}</dd><dt>proves</dt><dd>{{facts .Proves}}</dd>
<dt>undo</dt><dd>{{.Undo.Kind}}: {{tame .Undo.Says}}</dd>{{with .Harm.Says}}<dt>harm</dt><dd>{{tame .}}</dd>{{end}}<dt>votes</dt><dd>{{.Votes}}</dd></dl>{{end}}{{end}}{{end}}
{{if .Watches}}<h2>To come back to</h2><ul>{{range .Watches}}<li>{{tame .What}}{{with .Host}} on {{tame .}}{{end}}{{with .Contact}}; ask {{tame .}}{{end}}; look again {{time .Due}}</li>{{end}}</ul>{{end}}{{end}}
`
