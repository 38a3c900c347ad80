package mandate_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"staunch/mandate"

	"github.com/gowebpki/jcs"
)

func TestCanonicalHasOneSpelling(t *testing.T) {
	for in, want := range map[string]string{
		`{"b":1,"a":[true,null,"x"]}`:           `{"a":[true,null,"x"],"b":1}`,
		` { "é" : "\u00e9\n\u0007/" } `:         "{\"é\":\"é\\n\\u0007/\"}",
		`{"\ufb33":1,"\ud83d\ude00":2,"a":1e2}`: "{\"a\":100,\"\U0001f600\":2,\"\ufb33\":1}",
		`-0`:                                    `0`,
		`9007199254740991`:                      `9007199254740991`,
	} {
		got, err := mandate.Canonical(json.RawMessage(in))
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{`{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `1.5`, `9007199254740992`, `1e99`, "\"\xff\"", `{} {}`, `{"a":1`, `[1,`, ``} {
		if got, err := mandate.Canonical(json.RawMessage(in)); err == nil {
			t.Errorf("%s was accepted as %s", in, got)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{`{"b":1,"a":[true,null,"x\u2028<>&"]}`, `{"a":{"a":[[]]}}`, `"\ud800"`, `-0.0`, `1e15`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		once, err := mandate.Canonical(json.RawMessage(in))
		if err != nil {
			return
		}
		twice, err := mandate.Canonical(json.RawMessage(once))
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("not stable: %q then %q, %v", once, twice, err)
		}
		if peer, err := jcs.Transform(once); len(once) > 0 && (once[0] == '{' || once[0] == '[') && (err != nil || !bytes.Equal(peer, once)) {
			t.Fatalf("another implementation of RFC 8785 says %q, %v; we say %q", peer, err, once)
		}
	})
}
