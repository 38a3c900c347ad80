//go:build release

package ssh

import "embed"

// parts are put there by scripts/release before it builds.
//
//go:embed part/*.gz
var parts embed.FS

func embedded(name string) ([]byte, bool) {
	b, err := parts.ReadFile("part/" + name)
	return b, err == nil
}
