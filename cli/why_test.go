package cli_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"staunch/cli/desk"
)

// The exit code tells a script what the text tells a person.
func TestWhyExitCodes(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/busy" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(site.Close)
	p, closed := newPerson(t), closedPort(t)
	for _, c := range []struct {
		url, says string
		code      int
	}{
		{site.URL, "200 OK", desk.ExitClean},
		{site.URL + "/busy", "overloaded", desk.ExitFound},
		{"http://" + closed, "nothing listens", desk.ExitFound},
		{"--format=paper http://" + closed, "unknown format", desk.ExitCannot},
		{"--root-hints=/nonexistent http://" + closed, "root hints", desk.ExitCannot},
	} {
		out, errs, code := p.types(append([]string{"why"}, strings.Fields(c.url)...)...)
		if code != c.code || !strings.Contains(out+errs, c.says) {
			t.Errorf("why %s: code %d, want %d with %q\n%s%s", c.url, code, c.code, c.says, out, errs)
		}
	}
}
