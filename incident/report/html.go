package report

import (
	"html/template"
	"io"
	"strings"

	"staunch/fault"
	"staunch/page"
	"staunch/tame"
)

// HTML writes the report as one self-contained file: no script, nothing loaded from elsewhere.
func (r *Report) HTML(w io.Writer) error {
	whole, err := page.Parse(reportPage, template.FuncMap{
		"both": r.both, "due": r.due, "times": r.times, "heads": r.heads, "clean": tame.Line, "owner": owner, "state": state,
		"join": func(s []string) string { return strings.Join(s, ", ") }, "picture": func() template.HTML { return r.Blast.Picture() },
	})
	if err != nil {
		return fault.New(fault.Bug, "the report's page: %v", err)
	}
	return whole.Execute(w, r)
}

const reportPage = `{{define "title"}}Incident {{.ID}}: {{clean .Title}}{{end}}
{{define "style"}}td.when{white-space:nowrap}{{end}}
{{define "facts"}}<ul class="facts">{{range .Facts}}<li class="{{.News}}"><b>{{clean .Figure}}</b>{{clean .Says}}</li>{{end}}</ul>{{end}}
{{define "body"}}<h1>Incident {{.ID}}: {{clean .Title}}</h1>
<p class="soft">Opened {{both .Opened}}. Written from the ledger as of {{both .Until}}.</p>
{{template "facts" .}}
<h2>Summary</h2><ul>{{range .Summary}}<li>{{clean .}}</li>{{end}}</ul>
<h2>Impact</h2><ul>{{range .Impact}}<li>{{clean .}}</li>{{end}}</ul>
{{with .Blast}}{{if .Services}}<p>Services with affected units, and what data they hold:</p>
<div class="scroll"><table><tr><th>Service</th><th>Holds</th><th>Owner</th><th>Hosts</th></tr>
{{range .Services}}<tr><td>{{clean .Service}}</td><td>{{if .Holds}}{{clean (join .Holds)}}{{else}}not said in staunch.yaml{{end}}</td><td>{{if .Owner}}{{clean .Owner}}{{else}}nobody named{{end}}</td><td>{{clean (join .Hosts)}}</td></tr>{{end}}</table></div>{{end}}{{end}}
{{if .Reached}}<h2>Milestones</h2>{{range .Reached}}<div class="note reached"><b>{{both .At}}</b> {{clean .Says}}</div>{{end}}{{end}}
{{if .Hosts}}<h2>Hosts</h2><div class="scroll"><table><tr><th>Host</th><th>Ring</th><th>Was</th><th>Faced strangers</th><th>Is now</th><th>Clean since</th><th>What ran</th></tr>
{{range .Hosts}}<tr><td>{{clean .Host}}</td><td class="when">{{clean .Ring}}</td><td>{{clean .Was}}</td><td>{{.Facing}}</td><td>{{clean .Is}}{{if .Why}}: {{clean .Why}}{{end}}</td><td class="when">{{both .Clean}}</td><td>{{range .Units}}{{clean .}}<br>{{end}}</td></tr>
{{end}}</table></div>{{end}}
{{with .Blast}}<h2>What could have leaked</h2><p>{{clean .Says}}. Values never left the hosts: keys are shown by the hash of their public half, secrets by name.</p>
{{with picture}}<div class="picture">{{.}}</div>{{end}}
{{if .Keys}}<div class="scroll"><table><tr><th>Key</th><th>Type</th><th>Names</th><th>In reach of</th><th>Files</th><th>Also on</th><th>Served at</th></tr>
{{range .Keys}}<tr><td title="{{.SPKI}}">{{.Short}}</td><td>{{clean .Type}}</td><td>{{clean (join .Names)}}</td><td>{{clean (join .Readers)}}</td><td>{{clean (join .Files)}}</td><td>{{clean (join .Also)}}</td><td>{{clean (join .Endpoints)}}</td></tr>
{{end}}</table></div>{{end}}
{{if .Secrets}}<div class="scroll"><table><tr><th>Secret</th><th>Kind</th><th>Where</th><th>In reach of</th></tr>
{{range .Secrets}}<tr><td>{{clean .Name}}</td><td>{{.Kind}}</td><td>{{clean .Where}}</td><td>{{clean (join .Readers)}}</td></tr>
{{end}}</table></div>{{end}}
{{if .Unseen}}<p>Could not be looked at:</p><ul>{{range .Unseen}}<li>{{clean .}}</li>{{end}}</ul>{{end}}{{end}}
<h2>Search for signs of exploitation</h2>
{{if .Searches}}<div class="scroll"><table><tr><th>What</th><th>Since</th><th>Found</th><th>Says</th><th>Could not be searched</th></tr>
{{range .Searches}}<tr><td>{{clean .What}}</td><td class="when">{{both .Since}}</td><td>{{.Found}}</td><td>{{clean .Says}}</td><td>{{clean .Cannot}}</td></tr>
{{end}}</table></div>
{{else}}<p>None was recorded. That nothing was found means nothing until somebody looks.</p>{{end}}
{{if or .Checklist .Comments}}<h2>People</h2>
{{if .Checklist}}<div class="scroll"><table><tr><th>Entry</th><th>What</th><th>Owner</th><th>State</th><th>Due</th></tr>
{{range .Checklist}}<tr><td class="when">{{clean .ID}}</td><td>{{clean .Says}}</td><td>{{clean (owner .Owner)}}</td><td>{{clean (state .)}}</td><td class="when">{{both .Due}}</td></tr>
{{end}}</table></div>{{end}}
{{if .Comments}}<ul>{{range .Comments}}<li>{{both .At}}, {{clean .By}}: {{clean .Says}}</li>{{end}}</ul>{{end}}{{end}}
{{if .Well}}<h2>What went well</h2><ul>{{range .Well}}<li>{{clean .}}</li>{{end}}</ul>{{end}}
{{if .Wrong}}<h2>What went wrong</h2><ul>{{range .Wrong}}<li>{{clean .}}</li>{{end}}</ul>{{end}}
<h2>Action items</h2><ul>{{range .Actions}}<li>{{clean .Says}} ({{clean (owner .Owner)}}{{due .Due}})</li>{{else}}<li>none</li>{{end}}</ul>
<h2>Timeline</h2><p class="soft">The order is the ledger's.</p>
{{range .Clocks}}<div class="note left">{{clean .}}</div>{{end}}
<div class="scroll"><table><tr>{{range heads}}<th>{{.}}</th>{{end}}<th>Who</th><th>What</th></tr>
{{range .Timeline}}{{if not .Detail}}<tr>{{range times .At}}<td class="when">{{.}}</td>{{end}}<td>{{clean .By}}</td><td>{{clean .Says}}</td></tr>
{{end}}{{end}}</table></div>
<details><summary>Everything, with single steps ({{len .Timeline}} lines)</summary><div class="inside"><div class="scroll"><table><tr>{{range heads}}<th>{{.}}</th>{{end}}<th>Who</th><th>What</th></tr>
{{range .Timeline}}<tr{{if .Detail}} class="detail"{{end}}>{{range times .At}}<td class="when">{{.}}</td>{{end}}<td>{{clean .By}}</td><td>{{clean .Says}}</td></tr>
{{end}}</table></div></div></details>
{{if .Head}}<p class="soft">Head of the ledger when this was written: <code>{{.Head}}</code> (check with <code>staunch ledger verify --head</code>)</p>{{end}}{{end}}
`
