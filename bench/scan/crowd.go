package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// crowd are the processes that are looked at.
type crowd struct {
	dir     string // of the scripts
	running []*exec.Cmd
}

// scripts are services written in a language, as machines run them: from files, with imports. needrestart looks into such files.
func scripts() map[string]string {
	return map[string]string{
		"small.py": "import time\ntime.sleep(3600)\n",
		"web.py":   "import http.server, ssl, json, logging, sqlite3, argparse, threading, time\ntime.sleep(3600)\n",
		"agent.py": "import asyncio, urllib.request, subprocess, ctypes, email, xml.etree.ElementTree, time\ntime.sleep(3600)\n",
		"logd.pl":  "use strict; use warnings; use POSIX; use Socket; use File::Find; use Data::Dumper; use Getopt::Long; sleep 3600;\n",
		"work.rb":  "require 'json'\nrequire 'openssl'\nrequire 'socket'\nrequire 'fileutils'\nsleep 3600\n",
	}
}

// kinds are programs that wait, with few and with many libraries.
func (c *crowd) kinds() [][]string {
	at := func(name string) string { return filepath.Join(c.dir, name) }
	return [][]string{
		{"sleep", "3600"},
		{"/usr/bin/python3", at("web.py")},
		{"openssl", "s_server", "-accept", "127.0.0.1:0", "-nocert", "-quiet"},
		{"perl", at("logd.pl")},
		{"sh", "-c", "read forever"},
		{"/usr/bin/python3", at("agent.py")},
		{"ruby", at("work.rb")},
		{"sleep", "3600"},
		{"/usr/bin/python3", at("small.py")},
		{"redis-server", "--port", "0", "--save", ""},
	}
}

// newCrowd starts n processes, every twelfth in a mount namespace of its own.
func newCrowd(n int) (*crowd, error) {
	dir, err := os.MkdirTemp("/var/tmp", "staunch-bench-") // not /tmp: the peers leave that out
	if err != nil {
		return nil, err
	}
	c := &crowd{dir: dir}
	for name, text := range scripts() {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return c, err
		}
	}
	return c, c.grow(n)
}

func (c *crowd) grow(n int) error {
	all := c.kinds()
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
		cmd.Dir = c.dir
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
	if err := os.RemoveAll(c.dir); err != nil {
		fmt.Fprintln(os.Stderr, "note:", err)
	}
}
