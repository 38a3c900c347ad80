package sieve_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sort"
	"testing"

	"staunch/see/scan/elf/sieve"
)

// hits returns "id@offset" of everything found, sorted.
func hits(t testing.TB, text []byte, patterns ...sieve.Pattern) []string {
	t.Helper()
	set, err := sieve.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	set.Scan(text, func(id, at int) { out = append(out, fmt.Sprintf("%d@%d", id, at)) })
	sort.Strings(out)
	return out
}

// naive is the oracle: every pattern at every position.
func naive(text []byte, patterns ...sieve.Pattern) []string {
	var out []string
	for id, p := range patterns {
		for at := range text {
			if p.At(text, at) {
				out = append(out, fmt.Sprintf("%d@%d", id, at))
			}
		}
	}
	sort.Strings(out)
	return out
}

func plain(s string) sieve.Pattern { return sieve.Pattern{Bytes: []byte(s)} }

// The shortest pattern decides how far apart the search looks; each of those ways must find the same.
func TestEveryOccurrenceIsFoundOnce(t *testing.T) {
	for _, shortest := range []string{"tls1", "be;\x01\x00", "SSL 1.", "SSL 1.0", "OpenSSL "} {
		patterns := []sieve.Pattern{plain(shortest), plain("SSL 1.0.1e"), plain("tls1_process_heartbeat"), plain("dtls1_process_heartbeat")}
		rng := rand.New(rand.NewPCG(1, 2))
		for range 100 {
			var text []byte
			for range 30 {
				for range rng.IntN(9) {
					text = append(text, "OpenSL 1.\x00"[rng.IntN(10)])
				}
				text = append(text, patterns[rng.IntN(len(patterns))].Bytes...)
			}
			if got, want := hits(t, text, patterns...), naive(text, patterns...); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("in %q\ngot  %v\nwant %v", text, got, want)
			}
		}
	}
}

func TestWildBytesMatchAnything(t *testing.T) {
	p := sieve.Pattern{Bytes: []byte{0xbe, 0x3b, 1, 0, 0, 0, 0x14}, Wild: []bool{false, false, false, false, false, true, false}}
	text := []byte{0x90, 0xbe, 0x3b, 1, 0, 0, 0x77, 0x14, 0xbe, 0x3b, 1, 0, 0, 0x77, 0x15}
	if got := hits(t, text, p); fmt.Sprint(got) != "[0@1]" {
		t.Fatalf("got %v", got)
	}
}

func TestTooShortAPatternIsRefused(t *testing.T) {
	if _, err := sieve.New([]sieve.Pattern{plain("abc")}); err == nil {
		t.Fatal("three bytes were accepted")
	}
}

func FuzzScanAgreesWithTheNaiveSearch(f *testing.F) {
	f.Add([]byte("xxOpenSSL 1.0.1e"), []byte("OpenSSL "), []byte("SL 1."))
	f.Add(bytes.Repeat([]byte{0}, 40), []byte{0, 0, 0, 0}, []byte{0, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, text, a, b []byte) {
		patterns := []sieve.Pattern{{Bytes: a}, {Bytes: b}}
		set, err := sieve.New(patterns)
		if err != nil {
			return
		}
		var got []string
		set.Scan(text, func(id, at int) { got = append(got, fmt.Sprintf("%d@%d", id, at)) })
		sort.Strings(got)
		if want := naive(text, patterns...); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("got %v want %v", got, want)
		}
	})
}
