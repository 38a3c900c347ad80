//go:build release

package ssh

import (
	"embed"
	"strings"
)

// parts are put there by scripts/host-parts before a release is built: NAME.gz and NAME.sha256 (of the program, unpacked).
//
//go:embed part/*
var parts embed.FS

func embedded(name string) (packed []byte, sum string, ok bool) {
	packed, err := parts.ReadFile("part/" + name + ".gz")
	if err != nil {
		return nil, "", false
	}
	text, err := parts.ReadFile("part/" + name + ".sha256")
	return packed, strings.TrimSpace(string(text)), err == nil
}
