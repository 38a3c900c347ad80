package export_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"staunch/see/verdict/export"
	"staunch/testbed/real"
)

// validate is the question to Debian's own validator: does this file keep that schema? Schemas name each other by address; none is fetched.
const validate = `
import json, os, sys, jsonschema
folder, document = sys.argv[1:]
store = {}
for name in os.listdir(folder):
    if name.endswith((".schema.json", ".schemax.json")):
        schema = json.load(open(os.path.join(folder, name)))
        store[schema.get("$id", name)] = schema
schema = store["http://cyclonedx.org/schema/bom-1.6.schema.json"]
resolver = jsonschema.RefResolver(schema["$id"], schema, store=store)
for e in jsonschema.Draft7Validator(schema, resolver=resolver).iter_errors(json.load(open(document))):
    print("/".join(str(p) for p in e.absolute_path), e.message[:300])
`

// TestCycloneDXKeepsItsSchema asks the schema that is published with the Go module, by a validator that is not ours.
func TestCycloneDXKeepsItsSchema(t *testing.T) {
	real.Slow(t)
	if err := exec.Command("/usr/bin/python3", "-c", "import jsonschema").Run(); err != nil {
		real.Missing(t, "python3-jsonschema is not installed")
	}
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(strings.TrimSpace(string(out)), "schema")
	var b bytes.Buffer
	if err := export.CycloneDX(&b, night(t)); err != nil {
		t.Fatal(err)
	}
	check := func(content string) string {
		t.Helper()
		file := filepath.Join(t.TempDir(), "bom.json")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		said, err := exec.Command("/usr/bin/python3", "-W", "ignore", "-c", validate, folder, file).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		return string(said)
	}
	if said := check(b.String()); said != "" {
		t.Errorf("the schema says:\n%s\nof\n%s", said, b.String())
	}
	if said := check(strings.Replace(b.String(), `"specVersion": "1.6"`, `"specVersion": 1.6`, 1)); said == "" {
		t.Error("the validator takes everything")
	}
}

// What OpenVEX 0.2.0's schema demands of a statement, beyond names and types: https://github.com/openvex/spec/blob/main/openvex_json_schema.json.
func TestOpenVEXKeepsTheRulesOfItsSchema(t *testing.T) {
	var b bytes.Buffer
	if err := export.OpenVEX(&b, night(t)); err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"@context", "@id", "author", "timestamp", "version", "statements"} {
		if doc[key] == nil {
			t.Errorf("no %s", key)
		}
	}
	known := []string{"vulnerability", "products", "status", "justification", "impact_statement", "action_statement", "status_notes"}
	statements, _ := doc["statements"].([]any)
	for _, raw := range statements {
		s, _ := raw.(map[string]any)
		for key := range s {
			if !slices.Contains(known, key) {
				t.Errorf("%s is not of the format", key)
			}
		}
		if one, other := s["justification"] != nil, s["impact_statement"] != nil; s["status"] == "not_affected" && one == other {
			t.Errorf("not affected needs a justification or an impact statement, and never both: %v", s)
		}
		if s["status"] == "affected" && s["action_statement"] == nil {
			t.Errorf("affected without an action: %v", s)
		}
		vulnerability, _ := s["vulnerability"].(map[string]any)
		names, _ := vulnerability["aliases"].([]any)
		if len(names) > 1 && names[0] == names[1] {
			t.Errorf("an alias twice: %v", names)
		}
	}
	if len(statements) != 3 {
		t.Errorf("%d statements", len(statements))
	}
}
