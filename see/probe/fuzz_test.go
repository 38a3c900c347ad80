package probe

import (
	"strings"
	"testing"
)

// What a server puts into its header never reaches a terminal as it is, and its age is a number of seconds or said to be unreadable.
func FuzzHSTS(f *testing.F) {
	f.Add("max-age=31536000; includeSubDomains")
	f.Add("MAX-AGE=\"1\";max-age=-5\x1b[2J")
	f.Fuzz(func(t *testing.T, value string) {
		h := parseHSTS([]string{value})
		if !h.Present || h.MaxAge < -1 || strings.ContainsAny(h.Header, "\x1b\n\r") {
			t.Errorf("%q gives %+v", value, h)
		}
	})
}

// The answer to a heartbeat is counted byte by byte: never less than nothing, never more than there is; an alert of any length has a name.
func FuzzHeartbeatAnswer(f *testing.F) {
	f.Add([]byte{2, 0x1f, 0x40})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		if n := foreign(body); n < 0 || n > len(body) {
			t.Errorf("%d foreign bytes of %d", n, len(body))
		}
		if alertName(body) == "" {
			t.Error("an alert without a name")
		}
	})
}
