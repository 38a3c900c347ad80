package packages

import (
	"cmp"
	"context"
	"encoding/xml"
	"path/filepath"
	"strings"

	"staunch/fault"
	"staunch/pattern"
)

// dnf is for Fedora, RHEL and their kin. Versions are spelled [EPOCH:]VERSION-RELEASE; epoch 0 is left out.
type dnf struct {
	run  Run
	root string
}

// zypper is for SUSE. Versions are spelled as dnf's.
type zypper struct {
	run  Run
	root string
}

// Installed reads rpm's own list.
func (d dnf) Installed(ctx context.Context, names []string) ([]Installed, error) {
	held, err := d.run(ctx, nil, nil, "dnf", "-q", "versionlock", "list")
	if err != nil {
		held = nil // the plugin is not installed: then nothing is locked by it
	}
	return rpmInstalled(ctx, d.run, names, held)
}

func rpmInstalled(ctx context.Context, run Run, names, held []string) ([]Installed, error) {
	if len(names) == 0 {
		return nil, nil
	}
	const format = "%{NAME}\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\t%{ARCH}\n"
	lines, err := run(ctx, nil, nil, append([]string{"rpm", "-q", "--qf", format}, names...)...)
	if err != nil && !fault.Is(err, fault.Conflict) {
		return nil, err
	}
	var found []Installed
	for _, line := range lines {
		if f := strings.Fields(line); len(f) == 3 {
			p := Installed{Package: Package{f[0], noEpoch(f[1]), f[2]}}
			for _, lock := range held {
				p.Held = p.Held || lockNames(lock, f[0])
			}
			found = append(found, p)
		}
	}
	return found, nil
}

// lockNames tells whether a line of a lock list ("name-0:1.2-3.*", "1 | name | package | (any)") names a package.
func lockNames(line, name string) bool {
	if cells := strings.Split(line, "|"); len(cells) > 2 {
		return strings.TrimSpace(cells[1]) == name
	}
	line = strings.TrimSpace(line)
	return line == name || strings.HasPrefix(line, name+"-") && len(line) > len(name)+1 && (line[len(name)+1] >= '0' && line[len(name)+1] <= '9' || line[len(name)+1] == '*')
}

var reDnf = pattern.New(`(\S+) (noarch|x86_64|aarch64|i[3-6]86|ppc64le|s390x|riscv64) (\S+) (\S+) [0-9.]+ (?:[kMGT]?i?B?)(?:\s|$)`)

// Simulate reads the table that dnf prints before it asks, and answers no.
func (d dnf) Simulate(ctx context.Context, want []Package, downgrade bool) ([]Change, error) {
	lines, err := d.run(ctx, nil, nil, dnfArgs("--assumeno", want, downgrade)...)
	if err != nil && !refusedByUs(lines) {
		return nil, dnfSays(lines, err)
	}
	changes := parseDnf(lines)
	var names []string
	for _, c := range changes {
		names = append(names, c.Name)
	}
	have, err := rpmInstalled(ctx, d.run, names, nil)
	if err != nil {
		return nil, err
	}
	for i, c := range changes {
		for _, p := range have {
			if p.Name == c.Name && c.From == "" {
				changes[i].From = p.Version
			}
		}
	}
	return changes, nil
}

func refusedByUs(lines []string) bool {
	for _, line := range lines {
		if strings.Contains(line, "Operation aborted") {
			return true
		}
	}
	return false
}

func dnfArgs(answer string, want []Package, downgrade bool) []string {
	verb := "upgrade"
	if downgrade {
		verb = "downgrade"
	}
	args := []string{"dnf", "-q", answer, "--setopt=install_weak_deps=False", "--setopt=clean_requirements_on_remove=False", "--setopt=obsoletes=False", verb}
	if answer == "--assumeno" {
		args = append(args[:1], args[2:]...) // the table is not printed with -q
	}
	return append(args, spell("%s-%s", want)...)
}

// parseDnf reads the transaction table. dnf wraps long lines, so sections are read as words, not as lines.
func parseDnf(lines []string) []Change {
	sections := map[string]string{}
	section := ""
	for _, line := range lines {
		switch t := strings.TrimSpace(line); {
		case strings.HasPrefix(t, "Transaction Summary"):
			section = ""
		case strings.HasSuffix(t, ":") && (strings.HasPrefix(t, "Install") || strings.HasPrefix(t, "Upgrad") || strings.HasPrefix(t, "Downgrad") ||
			strings.HasPrefix(t, "Remov") || strings.HasPrefix(t, "Reinstall")):
			section = t
		case section != "":
			sections[section] += " " + t
		}
	}
	var changes []Change
	for name, text := range sections {
		for _, m := range reDnf.FindAllStringSubmatch(strings.Join(strings.Fields(text), " ")+" ", -1) {
			version := noEpoch(m[3])
			if strings.HasPrefix(name, "Remov") {
				changes = append(changes, Change{Name: m[1], Arch: m[2], From: version})
			} else {
				changes = append(changes, Change{Name: m[1], Arch: m[2], To: version})
			}
		}
	}
	return changes
}

// noEpoch leaves the epoch 0 out, which rpm does not write. What is no version without it stays as it was said: it equals nothing that is wanted.
func noEpoch(version string) string { return cmp.Or(strings.TrimPrefix(version, "0:"), version) }

func dnfSays(lines []string, err error) error {
	for _, line := range lines {
		if what, found := strings.CutPrefix(line, "Error: "); found {
			return fault.New(fault.Conflict, "dnf: %s", what)
		}
	}
	return err
}

// Apply runs the same transaction with yes.
func (d dnf) Apply(ctx context.Context, want []Package, downgrade bool) error {
	lines, err := d.run(ctx, nil, nil, dnfArgs("-y", want, downgrade)...)
	if err != nil {
		return dnfSays(lines, err)
	}
	return nil
}

// Refresh reads the package sources again.
func (d dnf) Refresh(ctx context.Context) error {
	_, err := d.run(ctx, nil, nil, "dnf", "-q", "-y", "makecache", "--refresh")
	return err
}

// CanSave asks the repositories for the old versions.
func (d dnf) CanSave(ctx context.Context, have []Package) (why []string) {
	for _, p := range have {
		lines, err := d.run(ctx, nil, nil, "dnf", "-q", "repoquery", "--location", p.Name+"-"+p.Version+"."+p.Arch)
		if err != nil || len(lines) == 0 || !strings.HasSuffix(lines[len(lines)-1], ".rpm") {
			why = append(why, "no repository has "+p.String()+" any more")
		}
	}
	return why
}

// Save fetches the old package files with dnf download, or by copying from a repository on this machine.
func (d dnf) Save(ctx context.Context, have []Package, dir string) error {
	for _, p := range have {
		lines, err := d.run(ctx, nil, nil, "dnf", "-q", "repoquery", "--location", p.Name+"-"+p.Version+"."+p.Arch)
		if err != nil || len(lines) == 0 {
			return fault.New(fault.NotFound, "no repository has %s", p)
		}
		if local, found := strings.CutPrefix(lines[len(lines)-1], "file://"); found {
			_, err = d.run(ctx, nil, nil, "cp", "--", local, dir+"/")
		} else {
			_, err = d.run(ctx, nil, nil, "dnf", "-q", "download", "--destdir", dir, p.Name+"-"+p.Version+"."+p.Arch)
		}
		if err != nil {
			return err
		}
	}
	return rpmProven(ctx, d.run, d.root, have, dir)
}

// rpmProven makes sure that every package has its file in dir.
func rpmProven(ctx context.Context, run Run, root string, have []Package, dir string) error {
	kept, err := rpmFiles(root, dir)
	if err != nil {
		return err
	}
	lines, err := run(ctx, nil, nil, append([]string{"rpm", "-qp", "--nosignature", "--qf", "%{NAME} %|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\n"}, kept...)...)
	if err != nil {
		return err
	}
	text := "\n" + strings.Join(lines, "\n") + "\n"
	for _, p := range have {
		if !strings.Contains(text, "\n"+p.Name+" "+p.Version+"\n") && !strings.Contains(text, "\n"+p.Name+" 0:"+p.Version+"\n") {
			return fault.New(fault.Corrupt, "the file of %s was not saved", p)
		}
	}
	return nil
}

func rpmFiles(root, dir string) ([]string, error) {
	kept, err := filepath.Glob(filepath.Join(root, dir, "*.rpm"))
	if err != nil || len(kept) == 0 {
		return nil, fault.New(fault.NotFound, "there are no saved package files in %s", dir)
	}
	for i := range kept {
		kept[i] = strings.TrimPrefix(kept[i], strings.TrimSuffix(root, "/"))
	}
	return kept, nil
}

// Restore hands the saved files to dnf.
func (d dnf) Restore(ctx context.Context, dir string) error {
	kept, err := rpmFiles(d.root, dir)
	if err != nil {
		return err
	}
	lines, err := d.run(ctx, nil, nil, append([]string{"dnf", "-q", "-y", "--setopt=install_weak_deps=False", "--setopt=localpkg_gpgcheck=False", "downgrade"}, kept...)...)
	if err != nil {
		return dnfSays(lines, err)
	}
	return nil
}

// Installed reads rpm's own list and zypper's locks.
func (z zypper) Installed(ctx context.Context, names []string) ([]Installed, error) {
	held, err := z.run(ctx, nil, nil, "zypper", "--non-interactive", "--no-refresh", "locks")
	if err != nil {
		return nil, err
	}
	return rpmInstalled(ctx, z.run, names, held)
}

type zypperAnswer struct {
	Messages []struct {
		Type string `xml:"type,attr"`
		Text string `xml:",chardata"`
	} `xml:"message"`
	Summary struct {
		Groups []struct {
			XMLName   xml.Name
			Solvables []struct {
				Type string `xml:"type,attr"`
				Name string `xml:"name,attr"`
				To   string `xml:"edition,attr"`
				From string `xml:"edition-old,attr"`
				Arch string `xml:"arch,attr"`
			} `xml:"solvable"`
		} `xml:",any"`
	} `xml:"install-summary"`
}

func zypperArgs(want []Package, downgrade, dry bool) []string {
	args := []string{"zypper", "--non-interactive", "--no-refresh", "--xmlout", "install", "--no-recommends", "--no-force-resolution", "--details"}
	if dry {
		args = append(args, "--dry-run")
	}
	if downgrade {
		args = append(args, "--oldpackage")
	}
	return append(append(args, "--"), spell("%s=%s", want)...)
}

// Simulate reads zypper's machine-readable summary.
func (z zypper) Simulate(ctx context.Context, want []Package, downgrade bool) ([]Change, error) {
	lines, err := z.run(ctx, nil, nil, zypperArgs(want, downgrade, true)...)
	if err != nil {
		return nil, zypperSays(lines, err)
	}
	return parseZypper(lines)
}

func parseZypper(lines []string) ([]Change, error) {
	answer, err := zypperRead(lines)
	if err != nil {
		return nil, err
	}
	var changes []Change
	for _, group := range answer.Summary.Groups {
		for _, s := range group.Solvables {
			if s.Type != "package" {
				continue
			}
			c := Change{Name: s.Name, Arch: s.Arch, From: noEpoch(s.From), To: noEpoch(s.To)}
			if group.XMLName.Local == "to-remove" {
				c.From, c.To = c.To, ""
			}
			changes = append(changes, c)
		}
	}
	return changes, nil
}

func zypperRead(lines []string) (zypperAnswer, error) {
	var answer zypperAnswer
	text := strings.Join(lines, "\n")
	start := strings.Index(text, "<stream>")
	if start < 0 {
		return answer, fault.New(fault.Corrupt, "zypper's answer is not understood")
	}
	if err := xml.Unmarshal([]byte(text[start:]), &answer); err != nil {
		return answer, fault.New(fault.Corrupt, "zypper's answer is not understood: %v", err)
	}
	return answer, nil
}

func zypperSays(lines []string, err error) error {
	answer, readErr := zypperRead(lines)
	if readErr != nil {
		return err
	}
	for _, m := range answer.Messages {
		if m.Type == "error" {
			return fault.New(fault.Conflict, "zypper: %s", strings.TrimSpace(m.Text))
		}
	}
	return err
}

// Apply runs the same transaction.
func (z zypper) Apply(ctx context.Context, want []Package, downgrade bool) error {
	lines, err := z.run(ctx, nil, nil, zypperArgs(want, downgrade, false)...)
	if err != nil {
		return zypperSays(lines, err)
	}
	return nil
}

// Refresh reads the package sources again.
func (z zypper) Refresh(ctx context.Context) error {
	_, err := z.run(ctx, nil, nil, "zypper", "--non-interactive", "refresh")
	return err
}

// CanSave asks the repositories for the old versions.
func (z zypper) CanSave(ctx context.Context, have []Package) (why []string) {
	for _, p := range have {
		lines, err := z.run(ctx, nil, nil, "zypper", "--non-interactive", "--no-refresh", "--xmlout", "search", "--details", "--match-exact", "--type", "package", p.Name)
		if err != nil || !inRepository(lines, p) {
			why = append(why, "no repository has "+p.String()+" any more")
		}
	}
	return why
}

func inRepository(lines []string, p Package) bool {
	for _, line := range lines {
		if strings.Contains(line, `name="`+p.Name+`"`) && strings.Contains(line, `edition="`+p.Version+`"`) && !strings.Contains(line, `repository="(System Packages)"`) {
			return true
		}
	}
	return false
}

// Save fetches the old package files into zypper's cache and copies them from there.
func (z zypper) Save(ctx context.Context, have []Package, dir string) error {
	at := filepath.Join(dir, "fetch")
	argv := []string{"zypper", "--non-interactive", "--no-refresh", "--pkg-cache-dir", at, "install", "--download-only", "--no-recommends", "--oldpackage", "--force", "--"}
	if lines, err := z.run(ctx, nil, nil, append(argv, spell("%s=%s", have)...)...); err != nil {
		return zypperSays(lines, err)
	}
	for _, p := range have {
		if _, err := z.run(ctx, nil, nil, "find", at, "-name", p.Name+"-"+strings.ReplaceAll(p.Version, ":", "*")+"*.rpm", "-exec", "mv", "-t", dir, "{}", "+"); err != nil {
			return err
		}
	}
	return rpmProven(ctx, z.run, z.root, have, dir)
}

// Restore hands the saved files to zypper.
func (z zypper) Restore(ctx context.Context, dir string) error {
	kept, err := rpmFiles(z.root, dir)
	if err != nil {
		return err
	}
	argv := []string{"zypper", "--non-interactive", "--no-refresh", "--xmlout", "--no-gpg-checks", "install", "--no-recommends", "--oldpackage", "--allow-unsigned-rpm", "--"}
	if lines, err := z.run(ctx, nil, nil, append(argv, kept...)...); err != nil {
		return zypperSays(lines, err)
	}
	return nil
}
