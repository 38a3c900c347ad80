package owner

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"staunch/see/scan/jail"
)

// apkFiles are where apk keeps what is installed: before and after the merge of / and /usr.
func apkFiles() []string { return []string{"/lib/apk/db/installed", "/usr/lib/apk/db/installed"} }

// findAPK finds paths in Alpine's database: one file with the records and files of all packages.
func findAPK(ctx context.Context, root *jail.Root, paths []string) (map[string]*Match, error) {
	merged := readAliases(root)
	wanted := map[string][]string{}
	for _, path := range paths {
		for _, name := range merged.of(path) {
			wanted[strings.TrimPrefix(name, "/")] = append(wanted[strings.TrimPrefix(name, "/")], path)
		}
	}
	var text []byte
	var err error
	for _, file := range apkFiles() {
		if text, err = root.Read(file, maxStatus); err == nil {
			break
		}
	}
	if err != nil {
		return map[string]*Match{}, err
	}
	return parseAPK(text, wanted), ctx.Err()
}

// parseAPK reads records of "X:value" lines: P name, V version, A machine, o source package; then F directory, R file in it, and
// Z its checksum ("Q1" and base64 of SHA-1, of apk-tools' database format 2).
func parseAPK(text []byte, wanted map[string][]string) map[string]*Match {
	out := map[string]*Match{}
	var pkg Package
	var dir string
	var last []string // the wanted paths of the latest file, which wait for its checksum
	scan := bufio.NewScanner(bytes.NewReader(text))
	scan.Buffer(make([]byte, 64<<10), 4<<20)
	for scan.Scan() {
		line := scan.Bytes()
		if len(line) == 0 {
			pkg, dir, last = Package{}, "", nil
			continue
		}
		if len(line) < 2 || line[1] != ':' {
			continue
		}
		value := line[2:]
		switch line[0] {
		case 'P':
			pkg.Name = string(value)
		case 'V':
			pkg.Version = string(value)
		case 'A':
			pkg.Arch = string(value)
		case 'o':
			pkg.Source = string(value)
		case 'F':
			dir, last = string(value), nil
		case 'R':
			last = wanted[strings.TrimPrefix(dir+"/"+string(value), "/")]
			for _, path := range last {
				out[path] = &Match{Package: pkg, SumKind: "sha1"}
			}
		case 'Z':
			for _, path := range last {
				out[path].Sum = apkSum(string(value))
			}
		}
	}
	return out
}

// apkSum turns "Q1" and base64 into hexadecimal; "" for another kind.
func apkSum(s string) string {
	rest, ok := strings.CutPrefix(s, "Q1")
	if !ok {
		return ""
	}
	b, err := base64.StdEncoding.DecodeString(rest)
	if err != nil || len(b) != 20 {
		return ""
	}
	return hex.EncodeToString(b)
}
