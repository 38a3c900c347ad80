package ssh_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"staunch/testbed"
	"staunch/testbed/real"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// rounds is how often everything is timed, in turns: the middle one is told.
const rounds = 3

// stand is a person's machine in front of many hosts, with what the peers need.
type stand struct {
	*testing.B
	dir     string
	staunch string
	list    string // names of hosts
	config  string // of ssh
	hosts   []*testbed.Host
	control string // directory of Ansible's connections in this round
}

// row is one thing that is timed.
type row struct {
	name string
	run  func() (wall, cpu time.Duration)
	wall []time.Duration
	cpu  []time.Duration
}

// BenchmarkFleet scans 20 real hosts over ssh and lets the peers run "true" on the same hosts. bench/fleet runs it.
func BenchmarkFleet(b *testing.B) {
	s := newStand(b)
	scan := []string{s.staunch, "scan", "--config", s.list, "--on", "all", "--ssh-config", s.config, "--fail-on", "never"}
	fresh := func(more ...string) func() (time.Duration, time.Duration) {
		return func() (time.Duration, time.Duration) {
			return s.timed(append(append(slices.Clone(scan), "--keep=0"), more...))
		}
	}
	kept := func(more ...string) func() (time.Duration, time.Duration) {
		return func() (time.Duration, time.Duration) { return s.timed(append(slices.Clone(scan), more...)) }
	}
	command := []string{real.Program(b, "ansible"), "all", "-i", s.list, "-m", "command", "-a", "true"}
	tuned := append(slices.Clone(command), "-f", "20")
	first := []*row{{name: "staunch scan, first run (host part sent)", run: fresh()}}
	rows := []*row{
		{name: "20 logins and `true` by our ssh library alone, 8 at once", run: s.logins},
		{name: "parallel-ssh true, 20 at once", run: func() (time.Duration, time.Duration) {
			return s.timed([]string{real.Program(b, "parallel-ssh"), "-h", s.list, "-p", "20", "-x", "-F " + s.config, "true"})
		}},
		{name: "staunch scan, new connections", run: fresh()},
		{name: "staunch scan, new connections, --dormant=off", run: fresh("--dormant=off")},
		{name: "staunch scan that makes the connections which are kept", run: func() (time.Duration, time.Duration) { s.forget(); return s.timed(scan) }},
		{name: "staunch scan over kept connections", run: kept()},
		{name: "staunch scan over kept connections, once more", run: kept()},
		{name: "staunch scan over kept connections, --dormant=off", run: kept("--dormant=off")},
		{name: "ansible -m command -a true, as it comes", run: func() (time.Duration, time.Duration) { s.newControl(); return s.timed(command) }},
		{name: "the same, over its kept connections", run: func() (time.Duration, time.Duration) { return s.timed(command) }},
		{name: "ansible tuned: forks 20, pipelining, interpreter named", run: func() (time.Duration, time.Duration) {
			s.newControl()
			return s.timed(tuned, "ANSIBLE_PIPELINING=1", "ANSIBLE_PYTHON_INTERPRETER=/usr/bin/python3")
		}},
		{name: "the same, over its kept connections (tuned)", run: func() (time.Duration, time.Duration) {
			return s.timed(tuned, "ANSIBLE_PIPELINING=1", "ANSIBLE_PYTHON_INTERPRETER=/usr/bin/python3")
		}},
	}
	for b.Loop() {
		s.measure(first, 1)
		s.measure(rows, rounds)
	}
	s.print(append(first, rows...))
	s.timed([]string{s.staunch, "hosts", "clean", "all", "--config", s.list, "--ssh-config", s.config})
}

func newStand(b *testing.B) *stand {
	for _, peer := range []string{"ansible", "parallel-ssh"} {
		real.Program(b, peer)
	}
	dir := b.TempDir()
	for arch, name := range map[string]string{"amd64": "staunch-host-linux-amd64", "arm64": "staunch-host-linux-arm64"} {
		build(b, filepath.Join(dir, "host", name), "./cmd/staunch-host", arch)
	}
	s := &stand{B: b, dir: dir, staunch: filepath.Join(dir, "staunch"), list: filepath.Join(dir, "names")}
	build(b, s.staunch, "./cmd/staunch", "amd64")
	s.hosts = testbed.Up(b, 20, testbed.With("python3"))
	var names strings.Builder
	for _, h := range s.hosts {
		fmt.Fprintln(&names, h.Name)
	}
	if err := os.WriteFile(s.list, []byte(names.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	s.config = s.hosts[0].SSHConfig
	s.newControl()
	return s
}

func build(b *testing.B, out, pkg, arch string) {
	b.Helper()
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, pkg)
	cmd.Dir = real.Top(b)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch)
	if msg, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, msg)
	}
}

// measure takes turns, so that a busy moment of the machine does not fall on one of them alone.
func (s *stand) measure(rows []*row, times int) {
	for range times {
		for _, r := range rows {
			wall, cpu := r.run()
			r.wall, r.cpu = append(r.wall, wall), append(r.cpu, cpu)
		}
	}
}

// newControl makes Ansible begin without open connections.
func (s *stand) newControl() { s.control = s.TempDir() }

// forget makes staunch begin without kept connections.
func (s *stand) forget() {
	for _, pid := range s.keepers() {
		if p, err := os.FindProcess(pid); err == nil {
			_ = p.Kill() // it may have ended
		}
	}
}

// keepers are the background processes that hold staunch's connections.
func (s *stand) keepers() (pids []int) {
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		s.Fatal(err)
	}
	for _, file := range all {
		if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), "\x00keeper\x00"+s.dir) {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// kept is the processor time of the keepers that run.
func (s *stand) kept() (total time.Duration) {
	for _, pid := range s.keepers() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(text)[strings.LastIndexByte(string(text), ')')+1:])
		for _, ticks := range fields[11:13] {
			n, err := strconv.Atoi(ticks)
			if err != nil {
				s.Fatal(err)
			}
			total += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return total
}

// timed runs a command; all exit codes of a scan that saw every host are good here, a peer must end with 0.
func (s *stand) timed(args []string, env ...string) (wall, cpu time.Duration) {
	s.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "HOME="+s.dir, "XDG_RUNTIME_DIR=", "XDG_CACHE_HOME=", "ANSIBLE_SSH_CONTROL_PATH_DIR="+s.control,
		// what Ansible itself passes, and our ssh configuration
		"ANSIBLE_SSH_ARGS=-C -o ControlMaster=auto -o ControlPersist=60s -F "+s.config)
	cmd.Env = append(cmd.Env, env...)
	keeper := s.kept()
	began := time.Now()
	out, err := cmd.CombinedOutput()
	wall = time.Since(began)
	text := string(out)
	switch {
	case filepath.Base(args[0]) != "staunch":
		if err != nil {
			s.Fatalf("%s: %v: %s", args[0], err, text)
		}
	case args[1] == "scan" && !strings.Contains(text, "20 of 20 known hosts seen"):
		s.Fatalf("%v: %s", err, text)
	}
	return wall, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime() + max(0, s.kept()-keeper)
}

// logins is the least that anything over new connections costs. Its processor time is that of this process: not told.
func (s *stand) logins() (wall, cpu time.Duration) {
	key, err := os.ReadFile(s.hosts[0].Key)
	if err != nil {
		s.Fatal(err)
	}
	signer, err := gossh.ParsePrivateKey(key)
	if err != nil {
		s.Fatal(err)
	}
	known, err := knownhosts.New(s.hosts[0].KnownHosts)
	if err != nil {
		s.Fatal(err)
	}
	config := &gossh.ClientConfig{
		User: "root", Auth: []gossh.AuthMethod{gossh.PublicKeys(signer)}, HostKeyCallback: known, HostKeyAlgorithms: []string{gossh.KeyAlgoED25519}, Timeout: time.Minute,
	}
	seats := make(chan struct{}, 8)
	var wg sync.WaitGroup
	began := time.Now()
	for _, h := range s.hosts {
		wg.Go(func() {
			seats <- struct{}{}
			c, err := gossh.Dial("tcp", h.Addr+":22", config)
			<-seats
			if err != nil {
				s.Error(err)
				return
			}
			defer c.Close()
			session, err := c.NewSession()
			if err == nil {
				err = session.Run("true")
			}
			if err != nil {
				s.Error(err)
			}
		})
	}
	wg.Wait()
	return time.Since(began), 0
}

// print tells the middle of all rounds with the lowest and the highest, and how often each run of ours goes into each of the peers'.
func (s *stand) print(rows []*row) {
	middle := func(d []time.Duration) float64 {
		d = slices.Clone(d)
		slices.Sort(d)
		return d[len(d)/2].Seconds()
	}
	fmt.Println("| 20 hosts | wall s (lowest to highest) | CPU s here |")
	fmt.Println("|---|---|---|")
	for _, r := range rows {
		cpu := "-"
		if c := middle(r.cpu); c > 0 {
			cpu = fmt.Sprintf("%.2f", c)
		}
		fmt.Printf("| %s | %.2f (%.2f to %.2f) | %s |\n", r.name, middle(r.wall), slices.Min(r.wall).Seconds(), slices.Max(r.wall).Seconds(), cpu)
	}
	var ours, peers []*row
	for _, r := range rows[2:] {
		if strings.HasPrefix(r.name, "staunch") {
			ours = append(ours, r)
		} else {
			peers = append(peers, r)
		}
	}
	fmt.Print("|\n| how many times faster than |")
	for _, p := range peers {
		fmt.Printf(" %s |", p.name)
	}
	fmt.Print("\n|---|" + strings.Repeat("---|", len(peers)) + "\n")
	for _, o := range ours {
		fmt.Printf("| %s |", o.name)
		for _, p := range peers {
			fmt.Printf(" %.1f |", middle(p.wall)/middle(o.wall))
		}
		fmt.Println()
	}
}
