package errand_test

import (
	"testing"
	"time"

	"staunch/mend/cert/errand"
	"staunch/mend/cert/replace"
)

// FuzzFits holds chains that strangers bring to one promise: what fits is a chain for exactly the key that was meant.
func FuzzFits(f *testing.F) {
	f.Add("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, chain string) {
		if errand.Fits(chain, replace.Made{Name: "k", SPKI: "no key has this hash"}, nil, time.Now()) == nil {
			t.Error("it fits a key that does not exist")
		}
	})
}
