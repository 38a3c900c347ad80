package packages

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"staunch/fault"
	"staunch/pattern"
)

type apt struct {
	run  Run
	root string
}

// quiet keeps apt and the maintainer scripts from asking and from restarting anything.
func quiet() []string {
	return []string{
		"DEBIAN_FRONTEND=noninteractive", "DEBIAN_PRIORITY=critical", "NEEDRESTART_SUSPEND=1", "NEEDRESTART_MODE=l",
		"APT_LISTCHANGES_FRONTEND=none", "APT_LISTBUGS_FRONTEND=none", "UCF_FORCE_CONFFOLD=1", "SYSTEMD_OFFLINE=0",
	}
}

// Installed reads dpkg's own list.
func (a apt) Installed(ctx context.Context, names []string) ([]Installed, error) {
	if len(names) == 0 {
		return nil, nil
	}
	const format = "${Package}\t${Version}\t${Architecture}\t${db:Status-Want}\t${db:Status-Status}\t${db:Status-Eflag}\n"
	// dpkg-query ends with 1 when one name is unknown and still lists the others: its output decides
	lines, err := a.run(ctx, nil, nil, append([]string{"dpkg-query", "-W", "-f", format, "--"}, names...)...)
	if err != nil && !fault.Is(err, fault.Conflict) {
		return nil, err
	}
	var found []Installed
	for _, line := range lines {
		f := strings.Fields(line)
		if len(f) != 6 || f[4] == "not-installed" || f[4] == "config-files" {
			continue
		}
		p := Installed{Package: Package{f[0], f[1], f[2]}, Held: f[3] == "hold"}
		if f[4] != "installed" || f[5] != "ok" {
			p.Broken = f[4]
		}
		found = append(found, p)
	}
	return found, nil
}

var (
	reInst = pattern.New(`^Inst (\S+)(?: \[([^\]]+)\])? \((\S+) .*?\[([a-z0-9-]+)\]\)`)
	reRemv = pattern.New(`^(?:Remv|Purg) (\S+)(?: \[([^\]]+)\])?`)
)

func aptArgs(downgrade bool) []string {
	args := []string{"-q", "-y", "--no-install-recommends", "-o", "APT::Get::AutomaticRemove=false", "-o", "APT::Get::Upgrade-By-Source-Package=false"}
	if downgrade {
		args = append(args, "--allow-downgrades")
	}
	return args
}

// Simulate reads apt-get -s.
func (a apt) Simulate(ctx context.Context, want []Package, downgrade bool) ([]Change, error) {
	argv := append(append([]string{"apt-get", "-s"}, aptArgs(downgrade)...), "install", "--")
	lines, err := a.run(ctx, nil, quiet(), append(argv, aptNames(want)...)...)
	if err != nil {
		return nil, aptSays(lines, err)
	}
	return parseApt(lines), nil
}

func aptNames(want []Package) []string {
	var args []string
	for _, p := range want {
		name := p.Name
		if p.Arch != "" && p.Arch != "all" {
			name += ":" + p.Arch
		}
		args = append(args, name+"="+p.Version)
	}
	return args
}

func parseApt(lines []string) []Change {
	var changes []Change
	for _, line := range lines {
		if m := reInst.FindStringSubmatch(line); m != nil {
			name := bare(m[1])
			changes = append(changes, Change{Name: name, Arch: m[4], From: m[2], To: m[3]})
		} else if m := reRemv.FindStringSubmatch(line); m != nil {
			name := bare(m[1])
			from := m[2]
			if from == "" {
				from = "(version not said)"
			}
			changes = append(changes, Change{Name: name, From: from})
		}
	}
	return changes
}

// bare takes the architecture off a name; what is not a name stays as it is, and is refused as not asked for.
func bare(name string) string {
	if short, _, found := strings.Cut(name, ":"); found && short != "" {
		return short
	}
	return name
}

// aptSays picks the line that a person needs: dpkg's own reason, where apt only tells that dpkg failed, else apt's.
func aptSays(lines []string, err error) error {
	for _, line := range lines {
		what, found := strings.CutPrefix(line, "E: ")
		if !found {
			continue
		}
		if why := dpkgSays(lines); why != "" && strings.Contains(what, "dpkg") {
			what = why
		}
		return fault.New(fault.Conflict, "apt: %s", what)
	}
	return err
}

// dpkgSays is dpkg's first complaint, with the line that goes on with it.
func dpkgSays(lines []string) string {
	for i, line := range lines {
		if !strings.HasPrefix(line, "dpkg: error") && !strings.HasPrefix(line, "dpkg: unrecoverable") {
			continue
		}
		if i+1 < len(lines) && (strings.HasSuffix(line, ":") || strings.HasSuffix(line, ",")) {
			line += " " + strings.TrimSpace(lines[i+1])
		}
		return line
	}
	return ""
}

// Offers reads apt-cache madison: every version that the package sources have, as they were read last.
func (a apt) Offers(ctx context.Context, names []string) ([]Package, error) {
	if len(names) == 0 {
		return nil, nil
	}
	lines, err := a.run(ctx, nil, quiet(), append([]string{"apt-cache", "madison", "--"}, names...)...)
	if err != nil {
		return nil, err
	}
	return parseMadison(lines), nil
}

// parseMadison reads "name | version | where"; sources of the same name (where ends in Sources) are not what can be installed.
func parseMadison(lines []string) []Package {
	var found []Package
	for _, line := range lines {
		f := strings.Split(line, "|")
		if len(f) != 3 || strings.HasSuffix(strings.TrimSpace(f[2]), "Sources") {
			continue
		}
		p := Package{Name: strings.TrimSpace(f[0]), Version: strings.TrimSpace(f[1])}
		if p.Name != "" && p.Version != "" && !slices.Contains(found, p) {
			found = append(found, p)
		}
	}
	return found
}

// Apply runs apt-get install with exact versions. Without --allow-downgrades and with --no-remove apt itself refuses the rest.
func (a apt) Apply(ctx context.Context, want []Package, downgrade bool) error {
	return a.install(ctx, aptNames(want), downgrade)
}

func (a apt) install(ctx context.Context, what []string, downgrade bool) error {
	if err := a.settle(ctx); err != nil {
		return err
	}
	argv := append([]string{
		"apt-get", "--no-remove", "-o", "Dpkg::Options::=--force-confold", "-o", "Dpkg::Options::=--force-confdef",
		"-o", "DPkg::Lock::Timeout=30", "-o", "Dpkg::Use-Pty=0",
	}, aptArgs(downgrade)...)
	lines, err := a.run(ctx, nil, quiet(), append(append(argv, "install", "--"), what...)...)
	if err != nil {
		return aptSays(lines, err)
	}
	return nil
}

// Refresh reads the package sources again.
func (a apt) Refresh(ctx context.Context) error {
	lines, err := a.run(ctx, nil, quiet(), "apt-get", "-q", "-o", "APT::Update::Error-Mode=any", "update")
	if err != nil {
		return aptSays(lines, err)
	}
	return nil
}

// settle lets dpkg take in what a killed run noted, without configuring anything: apt refuses to work before that.
func (a apt) settle(ctx context.Context) error {
	left, err := filepath.Glob(filepath.Join(a.root, "/var/lib/dpkg/updates/[0-9]*"))
	if err != nil || len(left) == 0 {
		return nil
	}
	if lines, err := a.run(ctx, nil, nil, "dpkg", "--set-selections"); err != nil {
		return aptSays(lines, err)
	}
	return nil
}

// Mend finishes what an interrupted dpkg left of exactly these packages.
func (a apt) Mend(ctx context.Context, names []string) error {
	lines, err := a.run(ctx, nil, quiet(), append([]string{"dpkg", "--force-confold", "--force-confdef", "--configure", "--"}, names...)...)
	if err != nil {
		return aptSays(lines, err)
	}
	return nil
}

// cached finds a package file that apt kept.
func (a apt) cached(p Package) string {
	name := p.Name + "_" + strings.ReplaceAll(p.Version, ":", "%3a") + "_" + p.Arch + ".deb"
	path := filepath.Join("/var/cache/apt/archives", name)
	if info, err := os.Stat(filepath.Join(a.root, path)); err == nil && info.Mode().IsRegular() {
		return path
	}
	return ""
}

// CanSave asks apt where it would fetch the old package from.
func (a apt) CanSave(ctx context.Context, have []Package) (why []string) {
	for _, p := range have {
		if a.cached(p) != "" {
			continue
		}
		lines, err := a.run(ctx, nil, nil, "apt-get", "download", "--print-uris", "--", p.Name+":"+p.Arch+"="+p.Version)
		if err != nil || !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "'") }) {
			why = append(why, "no source has "+p.String()+" any more, and its file was not kept")
		}
	}
	return why
}

// Save copies or fetches the old package files and proves by dpkg-deb that each is what it should be.
func (a apt) Save(ctx context.Context, have []Package, dir string) error {
	for _, p := range have {
		if err := a.save(ctx, p, dir); err != nil {
			return err
		}
	}
	return nil
}

func (a apt) save(ctx context.Context, p Package, dir string) error {
	file := filepath.Join(dir, p.Name+"_"+url.PathEscape(p.Version)+"_"+p.Arch+".deb")
	if from := a.cached(p); from != "" {
		if _, err := a.run(ctx, nil, nil, "cp", "--", from, file); err != nil {
			return err
		}
	} else if err := a.fetch(ctx, p, dir, file); err != nil {
		return err
	}
	lines, err := a.run(ctx, nil, nil, "dpkg-deb", "-f", file, "Package", "Version")
	if err != nil {
		return err
	}
	if !slices.Contains(lines, "Package: "+p.Name) || !slices.Contains(lines, "Version: "+p.Version) {
		return fault.New(fault.Corrupt, "the saved file of %s holds something else", p)
	}
	return nil
}

func (a apt) fetch(ctx context.Context, p Package, dir, file string) error {
	at := filepath.Join(dir, "fetch")
	if _, err := a.run(ctx, nil, nil, "mkdir", "-p", at); err != nil {
		return err
	}
	lines, err := a.run(ctx, nil, nil, "env", "-C", at, "apt-get", "-q", "download", "--", p.Name+":"+p.Arch+"="+p.Version)
	if err != nil {
		return aptSays(lines, err)
	}
	got, err := filepath.Glob(filepath.Join(a.root, at, "*.deb"))
	if err != nil || len(got) != 1 {
		return fault.New(fault.NotFound, "apt fetched no file of %s", p)
	}
	_, err = a.run(ctx, nil, nil, "mv", "--", filepath.Join(at, filepath.Base(got[0])), file)
	return err
}

// Restore installs the saved files with apt, so that dependencies are still held.
func (a apt) Restore(ctx context.Context, dir string) error {
	kept, err := filepath.Glob(filepath.Join(a.root, dir, "*.deb"))
	if err != nil || len(kept) == 0 {
		return fault.New(fault.NotFound, "there are no saved package files in %s", dir)
	}
	for i := range kept {
		kept[i] = strings.TrimPrefix(kept[i], strings.TrimSuffix(a.root, "/"))
	}
	return a.install(ctx, kept, true)
}
