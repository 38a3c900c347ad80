// Command carry is the smallest way to carry out an order on a test host: the order comes in on stdin, the answer goes out on stdout.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"staunch/reach/act"
	"staunch/reach/act/bounds"
	"staunch/reach/act/carry"
)

func main() {
	verb := os.Args[1]
	exe, err := os.Executable()
	if err != nil {
		fail(err)
	}
	engine := carry.Engine{Places: bounds.Standard(), Self: []string{exe, "selfundo"}, Local: os.Getenv("CARRY_LOCAL") != ""}
	if at, err := strconv.Atoi(os.Getenv("CARRY_DIE_AT")); err == nil {
		dieAt(&engine, at)
	}
	if os.Getenv("CARRY_LOUD") != "" {
		engine.Says = func(s string) { fmt.Fprintln(os.Stderr, s) }
	}
	ctx := context.Background()
	var order act.Order
	if verb == "check" || verb == "do" {
		if err := json.NewDecoder(os.Stdin).Decode(&order); err != nil {
			fail(err)
		}
	}
	var answer any
	switch verb {
	case "check":
		answer, err = engine.Check(ctx, order)
	case "do":
		answer, err = engine.Do(ctx, order)
	case "selfundo":
		answer, err = engine.SelfUndo(ctx, os.Args[2])
	case "unfinished":
		answer, err = engine.Unfinished()
	case "hold": // holds a lock file as dpkg does, for so long
		err = hold(os.Args[2], os.Args[3])
	case "recipient":
		answer, err = engine.Recipient()
	}
	if err != nil {
		fail(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		fail(err)
	}
}

// dieAt kills this process at the so-manieth point where the engine looks at its clock or says what it is at: before and after everything
// that it writes down or does.
func dieAt(engine *carry.Engine, at int) {
	point := 0
	pass := func() {
		if point++; point == at {
			if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
				fail(err)
			}
			select {}
		}
	}
	engine.Now = func() time.Time { pass(); return time.Now() }
	engine.Says = func(string) { pass() }
}

func hold(path, length string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK}); err != nil {
		return err
	}
	d, err := time.ParseDuration(length)
	if err != nil {
		return err
	}
	fmt.Println("held")
	time.Sleep(d)
	return nil
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "error:", err)
	os.Exit(2)
}
