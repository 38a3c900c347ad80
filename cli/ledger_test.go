package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"staunch/cli"
)

// person is somebody at a keyboard with a state directory of their own.
type person struct {
	t   *testing.T
	dir string
}

func newPerson(t *testing.T) person {
	t.Helper()
	return person{t, t.TempDir()}
}

// types runs one command line and returns what it printed and its exit code.
func (p person) types(args ...string) (out, err string, code int) {
	p.t.Helper()
	var stdout, stderr bytes.Buffer
	code = cli.Run(context.Background(), cli.Env{
		Args: args, Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Version: "test",
		Getenv: func(name string) string {
			if name == "XDG_DATA_HOME" {
				return p.dir
			}
			return ""
		},
	})
	return stdout.String(), stderr.String(), code
}

// mustType is types for commands that succeed.
func (p person) mustType(args ...string) string {
	p.t.Helper()
	out, err, code := p.types(args...)
	if code != 0 {
		p.t.Fatalf("staunch %s: exit %d\n%s%s", strings.Join(args, " "), code, out, err)
	}
	return out
}

const twoEvents = `{"id":"0190a5b4-7c00-7000-8000-000000000001","stream":"incident/7","at":"2014-04-08T01:00:00Z","by":"ada","kind":"incident.opened","v":1,"data":{"says":"opened for CVE-2014-0160\u001b[2J"}}
{"id":"0190a5b4-7c00-7000-8000-000000000002","stream":"run/7.1","at":"2014-04-08T01:05:00Z","by":"ben","kind":"run.begun","v":1,"data":{"step":"upgrade-web","target":"web1"}}
`

func TestLedgerFromEmptyToRestored(t *testing.T) {
	p := newPerson(t)
	if _, err, code := p.types("timeline"); code != 2 || !strings.Contains(err, "there is no ledger") {
		t.Errorf("timeline without a ledger: exit %d, %s", code, err)
	}
	journal := filepath.Join(p.dir, "journal.jsonl")
	if err := os.WriteFile(journal, []byte(twoEvents), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := p.mustType("ledger", "import", "--source", "web9", journal); !strings.Contains(out, "2 events added, 0 were here already") {
		t.Errorf("import: %s", out)
	}
	if out := p.mustType("ledger", "import", journal); !strings.Contains(out, "0 events added, 2 were here already") && !strings.Contains(out, "error") {
		t.Errorf("import again: %s", out)
	}
	out := p.mustType("timeline", "--incident", "7", "--utc")
	for _, want := range []string{"2014-04-08 01:00:00Z", "opened for CVE-2014-0160", "upgrade-web web1", "[on web9]", "entered the ledger"} {
		if !strings.Contains(out, want) {
			t.Errorf("the timeline lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Errorf("an escape reached the terminal: %q", out)
	}
	for args, lines := range map[string]int{"--kind run.*": 1, "--by ada": 1, "--since 2014-04-08T01:01:00Z": 1, "--until 2014-04-01": 0, "--last 1": 1, "--seals": 3, "--source web9": 2} {
		if out := p.mustType(append([]string{"timeline"}, strings.Fields(args)...)...); strings.Count(out, "\n") != lines {
			t.Errorf("timeline %s: want %d lines:\n%s", args, lines, out)
		}
	}
	backup := filepath.Join(p.dir, "backup.db")
	head := p.mustType("ledger", "backup", backup)
	_, head, _ = strings.Cut(strings.TrimSpace(head), "head ")
	if out := p.mustType("ledger", "verify", "--head", head); !strings.Contains(out, "unchanged up to event 2") {
		t.Errorf("verify: %s", out)
	}
	if out, _, code := p.types("ledger", "verify", "--head", strings.Repeat("0", 64)); code != 1 || !strings.Contains(out, "not the ledger") {
		t.Errorf("verify with another head: exit %d, %s", code, out)
	}
	exported := filepath.Join(p.dir, "all.jsonl")
	p.mustType("ledger", "export", "-o", exported)
	text, err := os.ReadFile(exported)
	if err != nil {
		t.Fatal(err)
	}
	tampered := strings.Replace(string(text), `"ada"`, `"eve"`, 1)
	if err := os.WriteFile(exported, []byte(tampered), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, _, code := p.types("ledger", "verify", exported); code != 1 || !strings.Contains(out, "WAS CHANGED at event 1") {
		t.Errorf("verify of a tampered export: exit %d, %s", code, out)
	}
	if out := p.mustType("ledger", "restore", backup); !strings.Contains(out, "kept as") {
		t.Errorf("restore: %s", out)
	}
	if out := p.mustType("timeline", "--format", "json"); strings.Count(out, "\n") != 2 {
		t.Errorf("after the restore: %s", out)
	}
}

func TestTimesAsPeopleWriteThem(t *testing.T) {
	p := newPerson(t)
	for _, bad := range []string{"yesterday", "25:00", "-5m", "2014-13-01"} {
		if _, err, code := p.types("timeline", "--since="+bad); code != 2 || !strings.Contains(err, "is no time") {
			t.Errorf("--since %s: exit %d, %s", bad, code, fmt.Sprint(err))
		}
	}
}
