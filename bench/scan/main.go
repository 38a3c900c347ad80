// Command scan measures staunch scan against needrestart, checkrestart, lsof and a bare loop, on the same processes in one run.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "bare" {
		bare("/proc")
		return
	}
	bin := flag.String("staunch", "bin/staunch", "the program to measure")
	n := flag.Int("processes", 250, "processes to start")
	many := flag.Int("many", 2000, "processes for the linearity row; 0 leaves it out")
	hold := flag.Bool("hold", false, "only start the processes, to measure by hand, until this is interrupted")
	alone := flag.Bool("alone", os.Geteuid() == 0, "in a pid namespace of its own, so that all tools see the started processes and no others")
	runs := flag.Int("runs", 5, "runs of each tool; the median counts")
	flag.Parse()
	if *alone {
		if err := inNamespace(); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(2)
		}
		return
	}
	runtime.LockOSThread() // the processes that are started end with the thread that started them
	if *hold {
		if err := holdCrowd(*n); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(2)
		}
		return
	}
	if err := measure(*bin, *n, *many, *runs); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	}
}

// inNamespace runs this program again, with its arguments, where it is the first process.
func inNamespace() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command("unshare", append(append([]string{"--pid", "--fork", "--kill-child", "--mount-proc", self}, os.Args[1:]...), "-alone=false")...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}

// holdCrowd starts the processes and waits for an interrupt.
func holdCrowd(n int) error {
	crowd, err := newCrowd(n)
	if crowd != nil {
		defer crowd.stop()
	}
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	<-stop
	return nil
}

// measure starts the processes, runs every tool, and prints the table.
func measure(bin string, n, many, runs int) error {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "staunch-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	crowd, err := newCrowd(n)
	if crowd != nil {
		defer crowd.stop()
	}
	if err != nil {
		return err
	}
	time.Sleep(2 * time.Second) // until all have their libraries
	self, err := os.Executable()
	if err != nil {
		return err
	}
	fmt.Printf("| tool | wall (median of %d) | CPU | peak memory | wall, needrestart = 1 |\n|---|---|---|---|---|\n", runs)
	env := append(os.Environ(), "XDG_CACHE_HOME="+dir, "NEEDRESTART_SUSPEND=")
	tools := tools(bin, self)
	results := map[string]result{}
	for _, t := range tools {
		if results[t.name], err = t.run(runs, env); err != nil {
			return err
		}
	}
	base := results["needrestart -b -r l"].wall
	for _, t := range tools {
		r := results[t.name]
		ratio := "-"
		if base > 0 && r.wall > 0 {
			ratio = fmt.Sprintf("%.3f", r.wall.Seconds()/base.Seconds())
		}
		fmt.Printf("| %s | %s | %s | %s | %s |\n", t.name, ms(r.wall), ms(r.cpu), mb(r.rss), ratio)
	}
	if many > n {
		return linear(crowd, bin, env, n, many, runs, results["staunch scan --dormant=off, warm"])
	}
	return nil
}

// linear repeats the warm scan with more processes.
func linear(crowd *crowd, bin string, env []string, n, many, runs int, small result) error {
	if err := crowd.grow(many - n); err != nil {
		return err
	}
	t := tools(bin, "")[0]
	big, err := t.run(runs, env)
	if err != nil {
		return err
	}
	fmt.Printf("\n%d processes: %s wall, %s CPU, %s; %d processes: %s wall, %s CPU, %s.\n",
		n, ms(small.wall), ms(small.cpu), mb(small.rss), many, ms(big.wall), ms(big.cpu), mb(big.rss))
	return nil
}

func ms(d time.Duration) string { return fmt.Sprintf("%.0f ms", float64(d.Microseconds())/1000) }

func mb(kb int64) string { return fmt.Sprintf("%.0f MB", float64(kb)/1024) }

// tool is one row.
type tool struct {
	name string
	warm bool // one run before the measured ones
	args []string
}

func tools(bin, self string) []tool {
	return []tool{
		{"staunch scan --dormant=off, warm", true, []string{bin, "scan", "--format", "json", "--dormant=off"}},
		{"staunch scan --dormant=off --no-cache, cold", true, []string{bin, "scan", "--format", "json", "--dormant=off", "--no-cache"}},
		{"staunch scan, warm", true, []string{bin, "scan", "--format", "json"}},
		{"bare loop over the same files of /proc", true, []string{self, "bare"}},
		{"lsof -n -P", true, []string{"lsof", "-n", "-P"}},
		{"checkrestart", true, []string{"checkrestart"}},
		{"needrestart -b -r l", true, []string{"needrestart", "-b", "-r", "l"}},
		{"needrestart -b -r l -l (libraries only)", true, []string{"needrestart", "-b", "-l", "-r", "l"}},
	}
}

type result struct {
	wall, cpu time.Duration
	rss       int64 // KB
}

// run measures a tool; one that is not installed gives zeroes.
func (t tool) run(runs int, env []string) (result, error) {
	path, err := exec.LookPath(t.args[0])
	if err != nil {
		return result{}, nil
	}
	var all []result
	for i := range runs + 1 {
		cmd := exec.Command(path, t.args[1:]...)
		cmd.Env = env
		began := time.Now()
		err := cmd.Run()
		wall := time.Since(began)
		if cmd.ProcessState == nil {
			return result{}, err
		}
		usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		if !ok {
			return result{}, fmt.Errorf("no resource usage of %s", t.args[0])
		}
		if i > 0 || !t.warm {
			all = append(all, result{wall, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), usage.Maxrss})
		}
	}
	slices.SortFunc(all, func(a, b result) int { return int(a.wall - b.wall) })
	return all[len(all)/2], nil
}
