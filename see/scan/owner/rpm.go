package owner

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"staunch/see/scan/jail"
)

// maxRPM bounds a database; the largest real ones have about 300 MB. maxHeader is rpm's own limit on one header.
const (
	maxRPM    = 1 << 30
	maxHeader = 256 << 20
)

// rpmFiles are the databases of rpm in the order of their age, youngest first: SQLite, NDB (SUSE), Berkeley DB.
func rpmFiles() []string {
	var out []string
	for _, file := range []string{"rpmdb.sqlite", "Packages.db", "Packages"} {
		out = append(out, "/usr/lib/sysimage/rpm/"+file, "/var/lib/rpm/"+file)
	}
	return out
}

// findRPM finds paths in an rpm database of any of its three formats.
func findRPM(ctx context.Context, root *jail.Root, paths []string) (map[string]*Match, error) {
	merged := readAliases(root)
	wanted, out := map[string][]string{}, map[string]*Match{}
	for _, path := range paths {
		for _, name := range merged.of(path) {
			wanted[name] = append(wanted[name], path)
		}
	}
	for _, file := range rpmFiles() {
		fd, err := root.OpenRead(file)
		if err != nil {
			continue // another format
		}
		err = eachRPM(ctx, jail.File(fd), file, func(blob []byte) error {
			h, err := parseRPMHeader(blob)
			if err != nil {
				return err
			}
			h.match(wanted, out)
			return nil
		})
		jail.File(fd).Close()
		if err != nil {
			err = fmt.Errorf("%s: %w", file, err)
		}
		return out, err
	}
	return out, errors.New("the rpm database could not be opened")
}

// eachRPM calls yield with the header of every package. Its bytes are valid until yield returns.
func eachRPM(ctx context.Context, f jail.File, file string, yield func([]byte) error) error {
	st, err := jail.StatFD(int(f), "")
	if err != nil {
		return err
	}
	if st.Size > maxRPM {
		return jail.ErrTooLarge
	}
	switch {
	case strings.HasSuffix(file, ".sqlite"):
		return eachSQLite(ctx, f, int64(st.Size), yield)
	case strings.HasSuffix(file, ".db"):
		return eachNDB(ctx, f, int64(st.Size), yield)
	}
	return eachBDB(ctx, f, int64(st.Size), yield)
}
