package list

import "testing"

// Whose order wins, told from what was offered and taken.
func TestWhoseOrderWins(t *testing.T) {
	const a, b, c = 0xc02f, 0xc030, 0xc02b // a and b go with the same key, c with another
	for _, x := range []struct {
		name     string
		picks    []pick
		accepted []uint16
		want     order
	}{
		{"one answer tells nothing", []pick{{[]uint16{a, b}, a, true}}, []uint16{a, b}, undecided},
		{"both ways round, both times the first", []pick{{[]uint16{a, b}, a, true}, {[]uint16{b, a}, b, true}}, []uint16{a, b}, clients},
		{"both ways round, the same", []pick{{[]uint16{a, b}, a, true}, {[]uint16{b, a}, a, true}}, []uint16{a, b}, servers},
		{"what it does not accept was in front", []pick{{[]uint16{b, a}, a, true}}, []uint16{a}, undecided},
		{"another key's suite was passed over while schemes were missing", []pick{{[]uint16{c, a}, a, false}}, []uint16{a, c}, undecided},
		{"its own suite was passed over while schemes were missing", []pick{{[]uint16{b, a}, a, false}}, []uint16{a, b}, servers},
	} {
		if got := follows(x.picks, x.accepted); got != x.want {
			t.Errorf("%s: %d, want %d", x.name, got, x.want)
		}
	}
}
