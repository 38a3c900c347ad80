package tame_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"staunch/tame"
)

func TestNothingSteersATerminalOrHides(t *testing.T) {
	for in, want := range map[string]string{
		"plain text, grüße, 漢字":      "plain text, grüße, 漢字",
		"a\x1b[31mred\x07":           "a\ufffd[31mred\ufffd",
		"C1 \u009b31m":               "C1 \ufffd31m",
		"two\nlines\tand a tab \r\n": "two␤lines and a tab",
		"gpj.\u202eexe":              "gpj.\ufffdexe",
		"zero\u200bwidth\ufeff":      "zero\ufffdwidth\ufffd",
		"isolate \u2066x\u2069":      "isolate \ufffdx\ufffd",
		"separator \u2028 \u2029":    "separator \ufffd \ufffd",
		"broken \xff\xc3":            "broken \ufffd\ufffd",
		"carriage\rreturn\b\b\x7f!":  "carriage\ufffdreturn\ufffd\ufffd\ufffd!",
	} {
		if got := tame.Line(in); got != want {
			t.Errorf("Line(%q) = %q, want %q", in, got, want)
		}
	}
	if got := tame.Text("one\n\ttwo\x1b]0;title\x07\n"); got != "one\n\ttwo\ufffd]0;title\ufffd\n" {
		t.Errorf("Text = %q", got)
	}
}

func TestShortNeverCutsACharacter(t *testing.T) {
	if got := tame.Short("ééé", 3); got != "é..." {
		t.Errorf("%q", got)
	}
	if got := tame.Short("ééé", 6); got != "ééé" {
		t.Errorf("%q", got)
	}
	if got := tame.Short("\x80\x80\x80", 0); got != "..." {
		t.Errorf("%q", got)
	}
	if got := tame.Short(strings.Repeat("\x80", 9), 4); len(got) > 3*4+3 {
		t.Errorf("%q", got)
	}
}

func FuzzTame(f *testing.F) {
	f.Add("a\x1b[2J\u202e\xff", 3)
	f.Add("日本語\n", 4)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		for _, out := range []string{tame.Line(s), tame.Short(s, min(max(limit, 0), 1<<16)), tame.Text(s)} {
			bad := strings.IndexFunc(out, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' })
			if bad >= 0 || !utf8.ValidString(out) {
				t.Fatalf("%q of %q", out, s)
			}
		}
		if strings.ContainsAny(tame.Line(s), "\n\t") {
			t.Fatalf("%q is more than a line", tame.Line(s))
		}
	})
}
