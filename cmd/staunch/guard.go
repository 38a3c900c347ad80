package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// guarded is the name under which the program starts itself; descriptor 3 then takes its exit code.
const guarded = "staunch (guarded)"

// guard runs a verb that opens other people's files in a process of its own, where this machine has FUSE mounts. The kernel lets nobody kill a
// thread that waits for an answer of a FUSE server, and a process with such a thread is never over: whoever started it would wait as long as the
// server hangs. So the one that was started by a person waits for the answer only, not for the process that found it. It returns false where there is
// nothing to guard against.
func guard(args []string) (code int, done bool) {
	if len(args) < 2 || args[0] == guarded || !slices.Contains([]string{"scan", "heard"}, args[1]) || !fuseHere() {
		return 0, false
	}
	read, write, err := os.Pipe()
	if err != nil {
		return 0, false
	}
	defer read.Close()
	cmd := exec.Command("/proc/self/exe", args[1:]...)
	cmd.Args[0] = guarded
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = os.Stdin, os.Stdout, os.Stderr, []*os.File{write}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if err := cmd.Start(); err != nil {
		write.Close()
		return 0, false
	}
	write.Close()
	answer := make(chan int, 8)
	go func() { answer <- answerOf(cmd, read) }()
	for {
		select {
		case code := <-answer:
			return code, true
		case s := <-signals:
			if cmd.Process.Signal(s) == nil { // else it is over, and its answer is on the way
				time.AfterFunc(2*time.Second, func() { answer <- 2 }) // it could not even stop
			}
		}
	}
}

// answerOf is the exit code that the guarded process tells, or that of its end when it told none.
func answerOf(cmd *exec.Cmd, read *os.File) int {
	b := make([]byte, 1)
	if n, err := read.Read(b); n == 1 && err == nil {
		return int(b[0])
	}
	if err := cmd.Wait(); err == nil {
		return 0
	}
	return max(cmd.ProcessState.ExitCode(), 2)
}

// tell hands the exit code over and lets go of what others wait for: descriptors stay open as long as any thread of a process lives.
func tell(args []string, code int) {
	if args[0] != guarded {
		return
	}
	for _, f := range []*os.File{os.Stdin, os.Stdout, os.Stderr} {
		f.Close() // nothing is buffered in them
	}
	out := os.NewFile(3, "exit code")
	if _, err := out.Write([]byte{byte(code)}); err != nil {
		return // whoever waited is gone
	}
	out.Close()
}

// fuseHere tells whether a FUSE mount can be seen from here: in our own namespace, or among the kernel's connections, where those are mounted.
func fuseHere() bool {
	if list, err := os.ReadDir("/sys/fs/fuse/connections"); err == nil && len(list) > 0 {
		return true
	}
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false
	}
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		if _, kind, ok := strings.Cut(lines.Text(), " - "); ok && strings.HasPrefix(kind, "fuse") && !strings.HasPrefix(kind, "fusectl ") {
			return true
		}
	}
	return false
}
