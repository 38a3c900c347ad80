package probe_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"staunch/see/probe"
	"staunch/testbed/real"
)

// nnrpd is the part of INN that serves readers, without a feed and without a single group.
func nnrpd(t *testing.T, l leaf) map[string]int {
	lib := filepath.Join(real.Unpacked(t, "inn2"), "usr", "lib", "news")
	dir, port := openDir(t), freePort(t)
	for _, d := range []string{"db", "spool/overview", "tmp", "log", "run"} {
		must(t, os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	for _, f := range []string{"active", "active.times", "history", "newsgroups"} {
		write(t, filepath.Join(dir, "db", f), "")
	}
	write(t, filepath.Join(dir, "storage.conf"), "method tradspool { newsgroups: * class: 0 }\n")
	readers := write(t, filepath.Join(dir, "readers.conf"), "auth a { hosts: \"*\" default: \"<reader>\" }\naccess a { users: \"*\" newsgroups: \"*\" }\n")
	conf := write(t, filepath.Join(dir, "inn.conf"), `mta: "/bin/true %%s"
hismethod: hisv6
enableoverview: true
ovmethod: tradindexed
domain: news.test
pathhost: news.test
fromhost: news.test
pathnews: %[2]s
pathbin: %[2]s/bin
pathdb: %[1]s/db
pathetc: %[1]s
pathrun: %[1]s/run
pathlog: %[1]s/log
pathtmp: %[1]s/tmp
pathspool: %[1]s/spool
nnrpdloadlimit: 0
runasuser: root
runasgroup: root
nnrpdloadlimit: 0
tlscertfile: %[3]s
tlskeyfile: %[4]s
tlscafile: %[3]s
`, dir, lib, l.certFile, l.keyFile)
	env := append(os.Environ(), "LD_LIBRARY_PATH="+lib, "INNCONF="+conf)
	overview := exec.Command(filepath.Join(lib, "bin", "overchan")) // reads nothing, and leaves an empty overview behind
	overview.Env = env
	if out, err := overview.CombinedOutput(); err != nil {
		t.Fatalf("overchan: %v\n%s", err, out)
	}
	server := exec.Command(filepath.Join(lib, "bin", "nnrpd"), "-D", "-f", "-p", strconv.Itoa(port), "-b", "127.0.0.1", "-c", readers)
	server.Env, server.Dir = env, dir
	startCommand(t, port, server)
	return map[string]int{"nntp": port}
}

// coturn speaks TURN over TLS: TLS from the first byte, on a port that has no web server behind it.
func TestTURNOverTLS(t *testing.T) {
	real.Slow(t)
	t.Parallel()
	a := newAuthority(t)
	l := a.issue(t, rsaKey(t, 2048))
	program, dir, port := real.Program(t, "turnserver"), t.TempDir(), freePort(t)
	start(t, port, program, "-n", "-L", "127.0.0.1", "--tls-listening-port", strconv.Itoa(port), "--listening-port", strconv.Itoa(freePort(t)), "--cert", l.certFile, "--pkey", l.keyFile,
		"--no-udp", "--no-dtls", "--no-cli", "--log-file", "stdout", "--pidfile", filepath.Join(dir, "pid"), "--userdb", filepath.Join(dir, "db"))
	turn := "turns://" + local(port)
	r := look(t, turn, mode(probe.ModeHeartbleed))
	if r.Heartbleed.Verdict != probe.NoHeartbeat || r.Connections != 1 {
		t.Errorf("%+v in %d connections", r.Heartbleed, r.Connections)
	}
	r = look(t, turn, trusting(a), func(q *probe.Question) { q.TimeoutMS = 3000 })
	if r.Error != "" || r.Certificate == nil || !r.Certificate.Trusted || len(suitesOf(r, "TLS1.2")) < 5 || len(r.Groups) == 0 || r.HSTS != nil {
		t.Errorf("%+v", r)
	}
	if r.Grade == nil || r.Grade.Letter == "F" || r.Grade.Letter == "T" {
		t.Errorf("%+v", r.Grade)
	}
}
