//go:build !release

package ssh

// embedded has nothing in a build for developers: the host parts lie beside the program.
func embedded(string) (packed []byte, sum, quick string, ok bool) { return nil, "", "", false }
