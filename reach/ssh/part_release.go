//go:build release

package ssh

import (
	"embed"
	"strings"

	"staunch/fault"
)

// parts are put there by scripts/host-parts before a release is built: NAME.gz, and NAME.sha256 and NAME.b2 (of the program, unpacked).
//
//go:embed part/*
var parts embed.FS

func embedded(name string) (sum, quick string, ok bool) {
	text, err := parts.ReadFile("part/" + name + ".sha256")
	if err != nil {
		return "", "", false
	}
	fast, err := parts.ReadFile("part/" + name + ".b2")
	return strings.TrimSpace(string(text)), strings.TrimSpace(string(fast)), err == nil
}

func embeddedPack(name string) ([]byte, error) {
	packed, err := parts.ReadFile("part/" + name + ".gz")
	if err != nil {
		return nil, fault.New(fault.Bug, "the host part %s was not built in: %v", name, err)
	}
	return packed, nil
}
