package carry_test

import (
	"strings"
	"testing"

	"staunch/reach/act"
)

// makeRPMs (Debian keeps the rpm database in the home directory, which zypper does not know) builds tally and tally-tools (which needs exactly its version) in two versions, and a repository of them.
const makeRPMs = `set -e
mkdir -p /srv/rpm /root/spec /var/lib/rpm && ln -sfn /var/lib/rpm /root/.rpmdb && cd /root/spec
for v in 1.0 1.1; do for n in tally tally-tools; do
{ echo "Name: $n"; echo "Version: $v"; echo "Release: 1"; echo "Summary: made for tests"; echo "License: none"; echo "BuildArch: noarch"
[ $n = tally ] || echo "Requires: tally = $v"
echo "%description"; echo "made for tests"; echo "%install"; echo "mkdir -p %{buildroot}/opt/$n; echo $v >%{buildroot}/opt/$n/version"; echo "%files"; echo "/opt/$n"; } >$n-$v.spec
rpmbuild -bb --quiet --define "_rpmdir /srv/rpm" --define "_topdir /root/rpmbuild" $n-$v.spec >/dev/null 2>&1
done; done
createrepo_c -q /srv/rpm
mkdir -p /etc/yum.repos.d; printf '[local]\nname=local\nbaseurl=file:///srv/rpm\nenabled=1\ngpgcheck=0\n' >/etc/yum.repos.d/local.repo
zypper -n -q addrepo --no-gpgcheck dir:///srv/rpm local >/dev/null; zypper -n -q refresh >/dev/null`

func withDnf(t *testing.T, m machine) {
	m.Exec(t, makeRPMs)
	m.Exec(t, "dnf -q -y install tally-1.0-1 2>&1")
	rpmStory(t, m, "dnf")
	m.Exec(t, "dnf -q -y remove tally 2>&1")
}

func withZypper(t *testing.T, m machine) {
	m.Exec(t, "zypper -n -q install tally=1.0-1 2>&1")
	rpmStory(t, m, "zypper")
}

func rpmStory(t *testing.T, m machine, manager string) {
	m.t = t
	upgrade := func(id, version string) act.Order {
		return newOrder(t, manager+"-"+id, act.Upgrade, &act.UpgradeWith{Manager: manager, Packages: []act.Package{{Name: "tally", Version: version}}})
	}
	p := m.check(upgrade("preview", "1.1-1"))
	if p.Refused != "" || !strings.Contains(strings.Join(p.Says, "\n"), "tally 1.0-1 -> 1.1-1") || !strings.HasPrefix(p.Undo, "installs the saved") {
		t.Fatalf("%s: preview %+v", manager, p)
	}
	order := upgrade("up", "1.1-1")
	m.want(m.do(order), act.Done, "")
	if got := m.Exec(t, "cat /opt/tally/version"); got != "1.1" {
		t.Errorf("%s: version %s", manager, got)
	}
	m.want(m.do(upgrade("again", "1.1-1")), act.Already, "")
	m.want(m.do(upgrade("down", "1.0-1")), act.Refused, "")
	m.want(m.do(undoOf(order)), act.Undone, "")
	if got := m.Exec(t, "cat /opt/tally/version"); got != "1.0" {
		t.Errorf("%s: after the undo %s", manager, got)
	}
	m.want(m.do(upgrade("nowhere", "9.9-1")), act.Refused, "")
	m.Exec(t, map[string]string{"dnf": "dnf -q -y install tally-tools-1.0-1 2>&1", "zypper": "zypper -n -q install tally-tools=1.0-1 2>&1"}[manager])
	m.want(m.do(upgrade("companion", "1.1-1")), act.Refused, "")
	both := upgrade("both", "1.1-1")
	a, err := act.New(act.Upgrade, &act.UpgradeWith{Manager: manager, Packages: []act.Package{{Name: "tally", Version: "1.1-1"}, {Name: "tally-tools", Version: "1.1-1"}}})
	if err != nil {
		t.Fatal(err)
	}
	both.Act = a
	m.want(m.do(both), act.Done, "")
}
