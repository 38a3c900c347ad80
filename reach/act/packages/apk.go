package packages

import (
	"context"
	"strings"

	"staunch/fault"
	"staunch/pattern"
)

// Doubt says what a person should know before trusting a manager, "" for those that are tested on real hosts.
func Doubt(m Manager) string {
	if _, is := m.(apk); is {
		return "apk was written from transcripts that others recorded, and was never run on a real Alpine host by our tests: look at what it did"
	}
	return ""
}

// apk is for Alpine. It was written from recorded transcripts and has not been run on a real Alpine host by our tests.
type apk struct {
	run  Run
	root string
}

var reApk = pattern.New(`^\(\d+/\d+\) (Installing|Upgrading|Downgrading|Replacing|Reinstalling|Purging) (\S+) \(([^ )]+)(?: -> ([^ )]+))?\)`)

// Installed reads apk's own list: "NAME-VERSION ARCH {ORIGIN} (LICENCE) [installed]".
func (a apk) Installed(ctx context.Context, names []string) ([]Installed, error) {
	lines, err := a.run(ctx, nil, nil, "apk", "list", "--installed")
	if err != nil {
		return nil, err
	}
	var found []Installed
	for _, line := range lines {
		f := strings.Fields(line)
		for _, name := range names {
			if len(f) < 2 || !strings.HasPrefix(f[0], name+"-") {
				continue
			}
			if version := f[0][len(name)+1:]; version != "" && version[0] >= '0' && version[0] <= '9' {
				found = append(found, Installed{Package: Package{name, version, f[1]}})
			}
		}
	}
	return found, nil
}

// Simulate reads apk add --simulate.
func (a apk) Simulate(ctx context.Context, want []Package, _ bool) ([]Change, error) {
	lines, err := a.run(ctx, nil, nil, append([]string{"apk", "add", "--simulate", "--no-interactive"}, spell("%s=%s", want)...)...)
	if err != nil {
		return nil, apkSays(lines, err)
	}
	return parseApk(lines), nil
}

func parseApk(lines []string) []Change {
	var changes []Change
	for _, line := range lines {
		m := reApk.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		switch c := (Change{Name: m[2], From: m[3], To: m[4]}); {
		case m[1] == "Installing":
			changes = append(changes, Change{Name: m[2], To: m[3]})
		case m[1] == "Purging":
			changes = append(changes, Change{Name: m[2], From: m[3]})
		case m[4] != "":
			changes = append(changes, c)
		}
	}
	return changes
}

func apkSays(lines []string, err error) error {
	for _, line := range lines {
		if what, found := strings.CutPrefix(line, "ERROR: "); found {
			return fault.New(fault.Conflict, "apk: %s", what)
		}
	}
	return err
}

// Apply runs the same transaction. apk pins the version in its world file by it; the caller's preview says so.
func (a apk) Apply(ctx context.Context, want []Package, _ bool) error {
	lines, err := a.run(ctx, nil, nil, append([]string{"apk", "add", "--no-interactive"}, spell("%s=%s", want)...)...)
	if err != nil {
		return apkSays(lines, err)
	}
	return nil
}

// Refresh reads the package sources again.
func (a apk) Refresh(ctx context.Context) error {
	_, err := a.run(ctx, nil, nil, "apk", "update", "--no-interactive")
	return err
}

// CanSave says no: Alpine's repositories hold one version only, and apk keeps no files.
func (a apk) CanSave(_ context.Context, have []Package) (why []string) {
	for _, p := range have {
		why = append(why, "Alpine's repositories keep one version only: "+p.String()+" cannot be saved")
	}
	return why
}

// Save is not possible, see CanSave.
func (a apk) Save(context.Context, []Package, string) error {
	return fault.New(fault.Unsupported, "old apk packages cannot be saved")
}

// Restore is not possible, see CanSave.
func (a apk) Restore(context.Context, string) error {
	return fault.New(fault.Unsupported, "old apk packages cannot be brought back")
}
