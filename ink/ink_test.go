package ink_test

import (
	"strings"
	"testing"

	"staunch/ink"
)

func TestWrapCountsColumnsAndNotColours(t *testing.T) {
	var plain, coloured strings.Builder
	text := "one two three four five six seven eight nine ten eleven twelve"
	ink.Wrap(&plain, 30, "  ", text)
	ink.Wrap(&coloured, 30, "  ", strings.Replace(text, "three", ink.Paint(true).Red("three"), 1))
	if got := strings.NewReplacer("\x1b[1;31m", "", "\x1b[0m", "").Replace(coloured.String()); got != plain.String() {
		t.Errorf("with colours\n%swithout\n%s", got, plain.String())
	}
	for i, line := range strings.Split(strings.TrimSuffix(plain.String(), "\n"), "\n") {
		if n := ink.Columns(line); n > 30 || i > 0 && !strings.HasPrefix(line, "      ") {
			t.Errorf("line %d has %d columns: %q", i, n, line)
		}
	}
}

func TestWordsThatCount(t *testing.T) {
	for got, want := range map[string]string{
		ink.Count(1, "host", "hosts"):              "1 host",
		ink.Count(0, "host", "hosts"):              "0 hosts",
		ink.Few([]string{"a", "b", "c"}, 2):        "a, b, c",
		ink.Few([]string{"a", "b", "c", "d"}, 2):   "a, b and 2 more",
		ink.Fit("grüße", 5):                        "grüße",
		ink.Fit("grüße an alle", 5):                "grüß…",
		ink.Fit("x", 0):                            "…",
		ink.Paint(false).Bold("plain"):             "plain",
		ink.Paint(true).Green("a") + "\x1b[0m|end": "\x1b[32ma\x1b[0m\x1b[0m|end",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestHangKeepsTheColumn(t *testing.T) {
	var b strings.Builder
	ink.Hang(&b, 34, "web1  lacks  ", "room on /boot: 10 MB are left")
	ink.Hang(&b, 34, "web2  ok     ", "")
	if want := "web1  lacks  room on /boot: 10 MB\n             are left\nweb2  ok\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}
