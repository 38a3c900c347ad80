//go:build release

package ssh

import (
	"embed"
	"strings"
)

// parts are put there by scripts/host-parts before a release is built: NAME.gz, and NAME.sha256 and NAME.b2 (of the program, unpacked).
//
//go:embed part/*
var parts embed.FS

func embedded(name string) (packed []byte, sum, quick string, ok bool) {
	packed, err := parts.ReadFile("part/" + name + ".gz")
	if err != nil {
		return nil, "", "", false
	}
	text, err := parts.ReadFile("part/" + name + ".sha256")
	if err != nil {
		return nil, "", "", false
	}
	fast, err := parts.ReadFile("part/" + name + ".b2")
	return packed, strings.TrimSpace(string(text)), strings.TrimSpace(string(fast)), err == nil
}
