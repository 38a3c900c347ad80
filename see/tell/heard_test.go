package tell

import (
	"strings"
	"testing"

	"staunch/see/heard"
	"staunch/see/verdict"
)

func TestARumourNamesTwinsOnOneLine(t *testing.T) {
	r := &heard.Rumour{Says: "openssl memory leak", Component: "openssl", Host: "web-1", Seen: 9, Known: 9}
	for pid := 1; pid <= 8; pid++ {
		r.Holders = append(r.Holders, heard.Holder{PID: pid, Process: "worker", Version: "3.0.1", Linkage: "dynamic", Path: "/usr/lib/libssl.so.3", Exposure: verdict.Exposure{In: "none"}})
	}
	r.Holders = append(r.Holders, heard.Holder{PID: 9, Process: "nginx\x1b[2J", Unit: "nginx.service", Version: "3.0.1", Linkage: "dynamic", Path: "/usr/lib/libssl.so.3", Exposure: verdict.Exposure{In: "public"}})
	var b strings.Builder
	if err := Rumour(&b, false, r, nil); err != nil {
		t.Fatal(err)
	}
	want := `openssl in memory of 9 processes, 1 of them public

  openssl 3.0.1
    public    nginx` + "\uFFFD" + `[2J (9)  nginx.service  dynamic in /usr/lib/libssl.so.3
    none      worker (1, 2, 3, 4, 5 and 3 more)  no unit  dynamic in /usr/lib/libssl.so.3
`
	if got := b.String(); !strings.Contains(got, want) {
		t.Errorf("got:\n%s\nwant in it:\n%s", got, want)
	}
}
