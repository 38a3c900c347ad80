package main

import (
	"errors"
	"os/exec"
	"syscall"
)

// crowd are the processes that are looked at.
type crowd struct{ running []*exec.Cmd }

// kinds are programs that wait, with few and with many libraries.
func kinds() [][]string {
	return [][]string{
		{"sleep", "3600"},
		{"perl", "-MPOSIX", "-MSocket", "-e", "sleep 3600"},
		{"python3", "-c", "import ssl, sqlite3, ctypes, time; time.sleep(3600)"},
		{"sleep", "3600"},
		{"openssl", "s_server", "-accept", "127.0.0.1:0", "-nocert", "-quiet"},
	}
}

// newCrowd starts n processes, every twelfth in a mount namespace of its own.
func newCrowd(n int) (*crowd, error) {
	c := &crowd{}
	return c, c.grow(n)
}

func (c *crowd) grow(n int) error {
	all := kinds()
	for range n {
		i := len(c.running)
		args := all[i%len(all)]
		if n > 1000 {
			args = all[0] // the linearity row counts processes, not libraries
		}
		path, err := exec.LookPath(args[0])
		if err != nil {
			return err
		}
		cmd := exec.Command(path, args[1:]...)
		// held open, so that programs that read it wait
		if _, err := cmd.StdinPipe(); err != nil {
			return err
		}

		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // main holds its thread
		if i%12 == 11 {
			cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		c.running = append(c.running, cmd)
	}
	return nil
}

// stop ends everything that was started.
func (c *crowd) stop() {
	for _, cmd := range c.running {
		if err := cmd.Process.Kill(); err != nil {
			continue // ended by itself
		}
	}
	for _, cmd := range c.running {
		var killed *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &killed) {
			continue
		}
	}
}
