package tell

import (
	"strings"
	"testing"

	"staunch/fault"
	"staunch/see/verdict"
)

func TestHostsThatWereNotSeenAreGroupedByTheirReason(t *testing.T) {
	s := &Fleet{Docs: map[string]*verdict.Document{}}
	for host, what := range map[string]string{
		"a": "a: 192.0.2.1:22: connect: connection refused", "b": "b: [2001:db8::2]:22: connect: connection refused", "c": "c (192.0.2.3:22) did not answer within 4s",
		"d": "d: there is no key", "e": "e (192.0.2.5:22) did not answer within 4s",
	} {
		s.Hosts = append(s.Hosts, host)
		s.Mute = append(s.Mute, Silent{Host: host, Error: fault.New(fault.Unreachable, "%s", what)})
	}
	var b strings.Builder
	Table{Width: 100}.fleetSilent(&b, s)
	for _, want := range []string{": connect: connection refused\n", ": did not answer within 4s\n", "  d: there is no key\n"} {
		if strings.Count(b.String(), want) != 1 {
			t.Errorf("%q is not there once:\n%s", want, b.String())
		}
	}
	if got := strings.Count(b.String(), "\n"); got != 5 {
		t.Errorf("%d lines:\n%s", got, b.String())
	}
}
