package fleet_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"staunch/reach/fleet"
	"staunch/testbed/real"

	"github.com/goccy/go-yaml"
)

// judge is a JSON schema validator that is not ours; it also holds the schema itself to its own rules.
const judge = `
import json, sys
from jsonschema import Draft202012Validator as V
said = json.load(sys.stdin)
V.check_schema(said["schema"])
print(json.dumps([[e.message for e in V(said["schema"]).iter_errors(i)] for i in said["instances"]]))
`

// validated says what a real validator has against each text.
func validated(t *testing.T, texts []string) [][]string {
	t.Helper()
	schema, err := fleet.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var instances []json.RawMessage
	for _, text := range texts {
		as, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		instances = append(instances, as)
	}
	in, err := json.Marshal(map[string]any{"schema": json.RawMessage(schema), "instances": instances})
	if err != nil {
		t.Fatal(err)
	}
	python := real.Program(t, "python3")
	if exec.Command(python, "-c", "import jsonschema").Run() != nil {
		real.Missing(t, "python3-jsonschema is not installed")
	}
	cmd := exec.Command(python, "-c", judge)
	cmd.Stdin = bytes.NewReader(in)
	var out [][]string
	if said, err := cmd.Output(); err != nil || json.Unmarshal(said, &out) != nil || len(out) != len(texts) {
		t.Fatalf("the validator: %v, %s", err, said)
	}
	return out
}

// TestTheSchemaAndTheReaderAgree: an editor that follows the schema shows what staunch will refuse, and nothing else.
func TestTheSchemaAndTheReaderAgree(t *testing.T) {
	const on = "hosts:\n  a: {}\nservices:\n  s: {on: a, "
	good := []string{
		shop, "{}", "hosts:\n  a:\n  b: {labels: ~}\n", "hosts:\n  db[a-c]: {port: 2222, user: 'DOM\\\\x', via: system-ssh}\n", on + "restart: 'hook:kick', max_down: '3'}\n",
		on + "health: {tcp: '{host}:80', within: 1m30s}}\n", on + "health: {url: 'https://{host}/', status: 204}}\n", "alone: 0s\nnotify: [/bin/page]\n",
		"endpoints:\n  a.example: {pins: [" + strings.Repeat("a", 64) + "], tlsa: [3 1 1 ab]}\n  x: {addresses: ['[::1]:443'], starttls: xmpp-client, xmpp_domain: x.example}\n",
	}
	bad := []string{
		"[]", "hello", "hsots: {}\n", "hosts: [a]\n", "hosts:\n  a: {lable: x}\n", "hosts:\n  a: {port: '22'}\n", "hosts:\n  a: {port: 0}\n", "hosts:\n  a: {port: 65536}\n",
		"hosts:\n  a: {port: 2.5}\n", "hosts:\n  a: {port: ~}\n", "hosts:\n  a: {user: ~}\n", "hosts:\n  a: {user: -x}\n", "hosts:\n  a: {user: 7}\n", "hosts:\n  a: {labels: x}\n", "hosts:\n  a: {labels: [1]}\n",
		"hosts:\n  a: {labels: ['a b']}\n", "hosts:\n  a: {via: telnet}\n", "hosts:\n  a: {restart_on: b}\n  b: {}\n", "hosts:\n  -a: {}\n", "hosts:\n  'a b': {}\n", "rings:\n  a: {width: 0}\n", "rings:\n  a: {width: 0%}\n",
		"rings:\n  a: {width: 101%}\n", "rings:\n  a: {width: 1.5}\n", "rings:\n  a: {soak: 10}\n", "rings:\n  a: {soak: -1s}\n", "rings:\n  a: {soak: 1d}\n", "rings:\n  a: {quorum: 0}\n", "rings:\n  'a b': {}\n",
		"services:\n  s: {}\n", "services:\n  s:\n", on + "restart: restrat}\n", on + "restart: 'hook:'}\n", on + "restart: 'hook:../x'}\n", on + "units: [nginx]}\n", on + "units: x.service}\n", on + "public: yes please}\n",
		on + "drain: ../x}\n", on + "health: {}}\n", on + "health: {unit: a.service, tcp: 'x:1'}}\n", on + "health: {unit: a.service, status: 200}}\n", on + "health: {url: 'ftp://x'}}\n", on + "health: {tcp: x}}\n",
		on + "health: {url: 'http://x', status: 99}}\n", "endpoints:\n  a.example: {pins: [abc]}\n", "endpoints:\n  a.example: {addresses: [x]}\n", "endpoints:\n  a.example: {starttls: gopher}\n",
		"endpoints:\n  a.example: {xmpp_domain: x.example}\n", "notify: page\n", "alone: 10\n",
	}
	for i, says := range validated(t, append(append([]string(nil), good...), bad...)) {
		text, well := "", i < len(good)
		if well {
			text = good[i]
		} else {
			text = bad[i-len(good)]
		}
		if _, err := fleet.Read([]byte(text), "f"); (err == nil) != well {
			t.Errorf("%q: the reader says %v", text, err)
		}
		if (len(says) == 0) != well {
			t.Errorf("%q: the schema says %q", text, says)
		}
	}
}

var yamlBlock = regexp.MustCompile("(?ms)^```ya?ml\n(.*?)^```")

// TestTheDocumentsExamplesAreValid takes every example that people will copy.
func TestTheDocumentsExamplesAreValid(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range yamlBlock.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(block[1], "\nhosts:") || strings.HasPrefix(block[1], "hosts:") {
				texts = append(texts, block[1])
			}
		}
	}
	if len(texts) == 0 {
		t.Fatal("no example was found")
	}
	for i, says := range validated(t, texts) {
		if _, err := fleet.Read([]byte(texts[i]), "example"); err != nil || len(says) > 0 {
			t.Errorf("%s\nreader: %v\nschema: %q", texts[i], err, says)
		}
	}
}
