package compact_test

import (
	"testing"
	"time"

	"staunch/compact"
)

// read reads {"n":int,"on":bool,"at":time,"says":text,"list":[int...]}.
func read(text string) (n int, on bool, at time.Time, says string, list []int, plain bool) {
	s := compact.New([]byte(text), map[string]string{})
	s.Object(func(key []byte) bool {
		switch string(key) {
		case "n":
			n = s.Int()
		case "on":
			on = s.Bool()
		case "at":
			at = s.Time()
		case "says":
			says = s.Word()
		case "list":
			s.Array(func() { list = append(list, s.Int()) })
		default:
			return false
		}
		return true
	})
	return n, on, at, says, list, s.Plain()
}

func TestWhatWeWriteIsRead(t *testing.T) {
	n, on, at, says, list, plain := read(`{"n":-12,"on":true,"at":"2014-04-07T17:30:00Z","says":"grüße","list":[1,0,3]}`)
	if !plain || n != -12 || !on || at.Unix() != 1396891800 || says != "grüße" || len(list) != 3 || list[2] != 3 {
		t.Errorf("%d %v %s %q %v, plain %v", n, on, at, says, list, plain)
	}
}

// TestWhatIsOutOfTheOrdinaryIsOdd: all of this may be JSON; none of it is ours to read.
func TestWhatIsOutOfTheOrdinaryIsOdd(t *testing.T) {
	for _, odd := range []string{
		``, `{`, `[]`, `{"n":1} `, ` {"n":1}`, `{"n": 1}`, `{"n":01}`, `{"n":1.5}`, `{"n":1e3}`, `{"n":1234567890123456}`, `{"n":-}`, `{"n":1,"n":2}`, `{"x":1}`,
		`{"on":yes}`, `{"on":null}`, `{"at":"yesterday"}`, `{"says":"a\"b"}`, "{\"says\":\"a\nb\"}", "{\"says\":\"\xff\"}", `{"list":[1,]}`, `{"list":[1 ,2]}`, `{"list":[1`,
	} {
		if _, _, _, _, _, plain := read(odd); plain {
			t.Errorf("%q passes for ours", odd)
		}
	}
}
