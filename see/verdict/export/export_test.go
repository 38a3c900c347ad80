package export_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"staunch/see/advisory"
	"staunch/see/scan"
	"staunch/see/scan/elf"
	"staunch/see/scan/owner"
	"staunch/see/verdict"
	"staunch/see/verdict/export"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// night is a machine with one affected, one cleared and one unknown process, one of them with a hostile name.
func night(t *testing.T) *verdict.Document {
	t.Helper()
	set, err := advisory.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	object := func(id, version string, pkg *owner.Package, says elf.Tri) scan.Object {
		return scan.Object{Package: pkg, Object: elf.Object{
			ID: id, Components: []elf.Component{{Name: "openssl", Version: version, Linkage: elf.Static}},
			Answers: []elf.Answer{{Anchor: "CVE-2014-0160/present", Says: says, Kind: "code"}, {Anchor: "CVE-2014-0160/fixed", Says: elf.No, Kind: "code"}},
		}}
	}
	mapped := func(id, path string) []scan.Mapped { return []scan.Mapped{{ID: id, Path: path, State: scan.Same}} }
	report := &scan.Report{
		Schema: 1, Host: "web-1", Scanner: "test",
		Objects: []scan.Object{
			object("aaaa", "1.0.1e", nil, elf.Yes), object("bbbb", "1.0.1e", nil, elf.No),
			object("cccc", "1.0.1e", &owner.Package{Type: "deb", Name: "odd", Version: "1", Source: "odd", Distro: "debian", Release: "12", Intact: "yes"}, elf.Unknown),
		},
		Processes: []scan.Process{
			{PID: 10, Name: `<script>alert("x")</script>`, Unit: "app.service", Objects: mapped("aaaa", "/opt/app")},
			{PID: 11, Name: "other", Objects: mapped("bbbb", "/opt/other")},
			{PID: 12, Name: "odd", Objects: mapped("cccc", "/usr/bin/odd")},
		},
	}
	doc := verdict.Judge(report, advisory.NewCatalogue(set), verdict.Options{Advisory: "heartbleed"})
	if len(doc.Findings) != 3 {
		t.Fatalf("%+v", doc.Findings)
	}
	return &doc
}

func TestOpenVEXSaysEachStatus(t *testing.T) {
	var b bytes.Buffer
	if err := export.OpenVEX(&b, night(t)); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Context    string `json:"@context"`
		ID         string `json:"@id"`
		Author     string
		Statements []struct {
			Vulnerability struct{ Name string }
			Products      []struct {
				ID string `json:"@id"`
			}
			Status, Justification string
			Action                string `json:"action_statement"`
		}
	}
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Context != "https://openvex.dev/ns/v0.2.0" || doc.ID == "" || doc.Author == "" {
		t.Errorf("head: %+v", doc)
	}
	got := map[string]bool{}
	for _, s := range doc.Statements {
		got[s.Status] = true
		if s.Vulnerability.Name != "CVE-2014-0160" || len(s.Products) == 0 {
			t.Errorf("%+v", s)
		}
		if s.Status == "affected" && s.Action == "" || s.Status == "not_affected" && s.Justification != "vulnerable_code_not_present" {
			t.Errorf("the format demands more of %+v", s)
		}
		if s.Status == "under_investigation" && s.Products[0].ID != "pkg:deb/debian/odd@1?distro=debian-12" {
			t.Errorf("product %s", s.Products[0].ID)
		}
	}
	for _, status := range []string{"affected", "not_affected", "under_investigation"} {
		if !got[status] {
			t.Errorf("nobody is %s", status)
		}
	}
}

func TestCycloneDXReadsBack(t *testing.T) {
	var b bytes.Buffer
	if err := export.CycloneDX(&b, night(t)); err != nil {
		t.Fatal(err)
	}
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(&b, cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	refs := map[string]bool{}
	for _, c := range *bom.Components {
		if refs[c.BOMRef] || c.BOMRef == "" {
			t.Errorf("reference %q is used twice", c.BOMRef)
		}
		refs[c.BOMRef] = true
	}
	states := map[cdx.ImpactAnalysisState]bool{}
	for _, v := range *bom.Vulnerabilities {
		states[v.Analysis.State] = true
		for _, a := range *v.Affects {
			if !refs[a.Ref] {
				t.Errorf("%s affects %q, which is not in the bill", v.ID, a.Ref)
			}
		}
	}
	if !states[cdx.IASExploitable] || !states[cdx.IASNotAffected] || !states[cdx.IASInTriage] {
		t.Errorf("states %v", states)
	}
}

func TestThePictureShowsTheWorstFirst(t *testing.T) {
	doc := night(t)
	doc.Processes[0], doc.Processes[1] = doc.Processes[1], doc.Processes[0] // the affected one is not the first to be seen
	var b bytes.Buffer
	if err := export.HTML(&b, doc); err != nil {
		t.Fatal(err)
	}
	_, picture, _ := strings.Cut(b.String(), "<svg")
	if bad, fine := strings.Index(picture, "(10)"), strings.Index(picture, "(11)"); bad < 0 || bad > fine {
		t.Errorf("the affected process stands at %d, the clean one at %d", bad, fine)
	}
}

func TestThePageStandsAloneAndEscapes(t *testing.T) {
	var b bytes.Buffer
	if err := export.HTML(&b, night(t)); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	if strings.Contains(page, "<script") {
		t.Error("a process name became markup")
	}
	if found := regexp.MustCompile(`(?i)(src|href)="(https?:|//)|@import|url\(`).FindString(page); found != "" {
		t.Errorf("the page loads something: %s", found)
	}
	for _, want := range []string{"<svg", `class="affected"`, "openssl 1.0.1e", "the check that the fix added is missing", "0 of 0 processes seen", `href="#f0"`, `id="f0"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}
