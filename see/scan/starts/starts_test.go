package starts

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"staunch/see/scan/jail"

	"github.com/rogpeppe/go-internal/txtar"
)

func TestUnitsTimersAndCronNameWhatTheyStart(t *testing.T) {
	got := unitPrograms("[Service]\nExecStartPre=-/bin/mkdir -p /run/x\nExecStart=@/usr/sbin/nginx nginx -g \\\n  'daemon off;'\nEnvironment=A=/no/exec\n")
	want := []string{"/bin/mkdir", "/run/x", "/usr/sbin/nginx"}
	if len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("%q", got)
	}
	if got := timerTarget("backup", "[Timer]\nOnCalendar=daily\nUnit=other.service\n"); got != "other.service" {
		t.Errorf("%q", got)
	}
	if got := timerTarget("backup", ""); got != "backup.service" {
		t.Errorf("%q", got)
	}
}

// machine is a root written as a txtar tree; a file whose text is "-> x" is a link.
func machine(t *testing.T, text string) *jail.Root {
	t.Helper()
	dir := t.TempDir()
	for _, f := range txtar.Parse([]byte(text)).Files {
		name := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if to, ok := strings.CutPrefix(string(f.Data), "-> "); ok {
			err = os.Symlink(strings.TrimSpace(to), name)
		} else {
			err = os.WriteFile(name, f.Data, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := jail.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(root.Close)
	return root
}

func shown(list []Starter) []string {
	var out []string
	for _, s := range list {
		out = append(out, s.How+" "+s.Path+" "+s.Unit)
	}
	slices.Sort(out)
	return out
}

func TestAMachineTellsWhatItCanStart(t *testing.T) {
	root := machine(t, `
-- etc/systemd/system/web.service --
[Service]
ExecStart=/opt/web/bin/web --listen
-- usr/lib/systemd/system/web.service --
[Service]
ExecStart=/usr/sbin/the-packaged-one
-- etc/systemd/system/web.service.d/more.conf --
[Service]
ExecStartPre=/opt/web/bin/check
-- etc/systemd/system/off.service --
-> /dev/null
-- usr/lib/systemd/system/off.service --
[Service]
ExecStart=/usr/sbin/switched-off
-- usr/lib/systemd/system/backup.service --
[Service]
ExecStart=/usr/bin/backup
-- usr/lib/systemd/system/backup.timer --
[Timer]
OnCalendar=daily
-- usr/lib/systemd/user/sync.service --
[Service]
ExecStart=/usr/libexec/sync
-- etc/crontab --
# m h dom mon dow user command
5 4 * * * root /usr/local/bin/nightly --all
-- etc/cron.daily/clean --
#!/bin/sh
/usr/bin/clean
-- etc/init.d/old --
#!/bin/sh
/usr/sbin/oldd
-- usr/bin/tool --
x
-- bin --
-> usr/bin
`)
	for name, c := range map[string]struct{ got, want []string }{
		"units": {shown(Units(root)), []string{
			"timer /usr/bin/backup backup.service", "unit /opt/web/bin/check web.service", "unit /opt/web/bin/web web.service", "unit /usr/libexec/sync sync.service",
		}},
		"cron": {shown(Crons(root)), []string{
			"cron /etc/cron.daily/clean /etc/cron.daily/clean", "cron /etc/crontab /etc/crontab", "cron /usr/bin/clean /etc/cron.daily/clean", "cron /usr/local/bin/nightly /etc/crontab",
		}},
		"init":     {shown(Inits(root)), []string{"init /etc/init.d/old /etc/init.d/old", "init /usr/sbin/oldd /etc/init.d/old"}},
		"programs": {shown(Programs(root)), []string{"path /usr/bin/tool "}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", name, c.got, c.want)
		}
	}
}

func FuzzUnits(f *testing.F) {
	f.Add("ExecStart=-/bin/x \\\n y\nUnit=z")
	f.Fuzz(func(_ *testing.T, text string) {
		unitPrograms(text)
		timerTarget("x", text)
	})
}
