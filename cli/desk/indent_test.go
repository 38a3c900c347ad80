package desk

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzIndent compares with the library's own, on everything that is JSON.
func FuzzIndent(f *testing.F) {
	for _, seed := range []string{
		`{"a":[],"b":{},"c":[{"d":"}\\\"],["},1.5e-3,null,true,""],"e":{"f":[[]]}}`, `"\\\\"`, `[[[1,2],{"x":"\u2028<&>"}]]`, `0`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var v any
		if json.Unmarshal(b, &v) != nil {
			return
		}
		var want, got bytes.Buffer
		library := json.NewEncoder(&want)
		library.SetEscapeHTML(false)
		library.SetIndent("", " ")
		if err := library.Encode(v); err != nil {
			return
		}
		if err := JSON(&got, v); err != nil || !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Errorf("%v\n%s\n%s", err, got.Bytes(), want.Bytes())
		}
	})
}
