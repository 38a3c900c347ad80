package scan_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"staunch/see/scan"
	"staunch/testbed/real"
)

// island is a mount namespace in which container engines keep their files at the usual places, without touching this machine's.
type island struct {
	t   *testing.T
	pid int
	dir string
	bin string // staunch
}

func newIsland(t *testing.T) *island {
	t.Helper()
	real.Root(t)
	real.Lock(t, "containers") // control groups are named by the engine
	holder := exec.Command("sh", "-c", "mount -t tmpfs none /run && mount -t tmpfs none /var/lib && echo ready && exec sleep 3600")
	holder.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	start(t, holder)
	i := &island{t: t, pid: holder.Process.Pid, dir: t.TempDir(), bin: real.Build(t, "./cmd/staunch")}
	before := engineGroups()
	t.Cleanup(func() {
		for _, dir := range engineGroups() {
			if !slices.Contains(before, dir) {
				removeGroups(dir)
			}
		}
	})
	return i
}

// engineGroups are the control groups that engines make in every hierarchy, and leave behind.
func engineGroups() []string {
	var out []string
	for _, name := range []string{"docker", "libpod_parent", "default", "lxc.pivot"} {
		for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
			found, err := filepath.Glob(pattern + name)
			if err == nil {
				out = append(out, found...)
			}
		}
	}
	return out
}

// removeGroups removes what is empty of a tree of control groups.
func removeGroups(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // gone
	}
	for _, e := range entries {
		if e.IsDir() {
			removeGroups(filepath.Join(dir, e.Name()))
		}
	}
	os.Remove(dir) // one that is in use stays
}

// command runs there.
func (i *island) command(args ...string) *exec.Cmd {
	i.t.Helper()
	return exec.Command(real.Program(i.t, "nsenter"), append([]string{"-t", strconv.Itoa(i.pid), "-m", "--"}, args...)...)
}

func (i *island) run(args ...string) string {
	i.t.Helper()
	out, err := i.command(args...).CombinedOutput()
	if err != nil {
		real.Missing(i.t, "%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// image packs a root file system of one static program.
func (i *island) image() string {
	i.t.Helper()
	busybox := real.Program(i.t, "busybox")
	root := filepath.Join(i.dir, "root", "bin")
	must(i.t, os.MkdirAll(root, 0o755))
	run(i.t, "cp", busybox, filepath.Join(root, "busybox"))
	tarball := filepath.Join(i.dir, "image.tar")
	run(i.t, "tar", "-C", filepath.Dir(root), "-cf", tarball, ".")
	return tarball
}

// daemon starts an engine's server and waits until it answers; it is stopped at the end.
func (i *island) daemon(ask []string, args ...string) {
	i.t.Helper()
	log, err := os.Create(filepath.Join(i.dir, filepath.Base(args[0])+".log"))
	must(i.t, err)
	cmd := i.command(args...)
	cmd.Stdout, cmd.Stderr = log, log
	must(i.t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	i.t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			cmd.Process.Kill() // the same
		}
		log.Close()
	})
	for end := time.Now().Add(time.Minute); i.command(ask...).Run() != nil; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			text, err := os.ReadFile(log.Name())
			must(i.t, err)
			real.Missing(i.t, "%s does not answer:\n%s", args[0], text)
		}
	}
}

// look is what staunch says there of one process.
func (i *island) look(pid string) scan.Process {
	i.t.Helper()
	cmd := i.command(i.bin, "scan", "--format", "json", "--no-cache", "--pid", pid)
	out, err := cmd.Output()
	if len(out) == 0 {
		i.t.Fatal(err)
	}
	var r scan.Report
	must(i.t, json.Unmarshal(out, &r))
	return only(i.t, &r)
}

func (i *island) is(p scan.Process, want scan.Container) {
	i.t.Helper()
	if p.Container == nil || *p.Container != want {
		i.t.Errorf("container %+v, want %+v", p.Container, want)
	}
	if len(p.Objects) != 1 || p.Objects[0].ID == "" || p.Objects[0].Path != "/bin/busybox" || !strings.HasPrefix(p.Root, "mnt:[") {
		i.t.Errorf("its program: %+v", p)
	}
}

func TestAContainerOfPodman(t *testing.T) {
	podman, runc := real.Program(t, "podman"), real.Program(t, "runc")
	i := newIsland(t)
	engine := []string{podman, "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--runtime", runc}
	i.run(append(engine, "import", i.image(), "localhost/island:1")...)
	id := i.run(append(engine, "run", "-d", "--net", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "localhost/island:1", "/bin/busybox", "sleep", "600")...)
	t.Cleanup(func() { i.run(append(engine, "rm", "-f", "-t", "0", id)...) })
	pid := i.run(append(engine, "inspect", "-f", "{{.State.Pid}}", id)...)
	i.is(i.look(pid), scan.Container{Runtime: "podman", ID: id, Image: "localhost/island:1"})
}

func TestAContainerOfDocker(t *testing.T) {
	dockerd := real.Program(t, "dockerd")
	i := newIsland(t)
	socket := "unix://" + filepath.Join(i.dir, "socket")
	docker := []string{real.Program(t, "docker"), "-H", socket}
	i.daemon(append(docker, "info"), dockerd, "-H", socket, "-p", filepath.Join(i.dir, "pid"), "--bridge=none", "--iptables=false", "--ip6tables=false",
		"--storage-driver", "vfs", "--default-ulimit", "nofile=1024:1024")
	i.run(append(docker, "import", i.image(), "island:2")...)
	id := i.run(append(docker, "run", "-d", "--network", "none", "island:2", "/bin/busybox", "sleep", "600")...)
	t.Cleanup(func() { i.run(append(docker, "rm", "-f", id)...) })
	pid := i.run(append(docker, "inspect", "-f", "{{.State.Pid}}", id)...)
	i.is(i.look(pid), scan.Container{Runtime: "docker", ID: id, Image: "island:2"})
}

// A container that containerd's own tool starts: the image's name stands only in containerd's database, so it stays unknown here; with the
// annotation that its CRI plugin writes for Kubernetes it is told.
func TestAContainerOfContainerd(t *testing.T) {
	containerd, ctr := real.Program(t, "containerd"), real.Program(t, "ctr")
	podman := real.Program(t, "podman")
	i := newIsland(t)
	archive := filepath.Join(i.dir, "image.oci.tar")
	store := []string{podman, "--storage-driver", "vfs"}
	i.run(append(store, "import", i.image(), "localhost/island:3")...)
	i.run(append(store, "save", "--format", "oci-archive", "-o", archive, "localhost/island:3")...)
	i.daemon([]string{ctr, "version"}, containerd, "--log-level", "warn")
	i.run(ctr, "image", "import", archive)
	for n, image := range []string{"", "registry.example/island:3"} {
		id := strings.Repeat(strconv.Itoa(n+1), 64)
		args := []string{ctr, "run", "-d", "--snapshotter", "native"}
		if image != "" {
			args = append(args, "--annotation", "io.kubernetes.cri.image-name="+image)
		}
		i.run(append(args, "localhost/island:3", id, "/bin/busybox", "sleep", "600")...)
		t.Cleanup(func() { i.run(ctr, "task", "rm", "-f", id) }) // which ends its watcher too
		pid := ""
		for line := range strings.Lines(i.run(ctr, "task", "ls")) {
			if words := strings.Fields(line); len(words) == 3 && words[0] == id {
				pid = words[1]
			}
		}
		i.is(i.look(pid), scan.Container{Runtime: "containerd", ID: id, Image: image})
	}
}

// A container of LXC has a name and no image.
func TestAContainerOfLXC(t *testing.T) {
	lxc := real.Program(t, "lxc-start")
	i := newIsland(t)
	i.image()
	root, conf, name := filepath.Join(i.dir, "root"), filepath.Join(i.dir, "conf"), "island-"+strconv.Itoa(os.Getpid())
	for _, dir := range []string{"proc", "sys", "dev"} {
		must(t, os.Mkdir(filepath.Join(root, dir), 0o755))
	}
	must(t, os.Chmod(filepath.Dir(i.dir), 0o755))
	write(t, conf, "lxc.rootfs.path = dir:"+root+"\nlxc.net.0.type = empty\nlxc.apparmor.profile = unconfined\n")
	i.run(lxc, "-n", name, "-P", i.dir, "-f", conf, "-o", filepath.Join(i.dir, "log"), "--", "/bin/busybox", "sleep", "600")
	t.Cleanup(func() { i.run("lxc-stop", "-k", "-n", name, "-P", i.dir) })
	i.is(i.look(i.run("lxc-info", "-n", name, "-P", i.dir, "-p", "-H")), scan.Container{Runtime: "lxc", ID: name})
}
