package desk

import (
	"io"
	"os"
	"strconv"

	"golang.org/x/term"
)

// IsTerminal reports whether w is a terminal that a person looks at.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Width is the number of columns to write for: COLUMNS, else the terminal's own, else 100.
func Width(env *Env) int {
	if n, err := strconv.Atoi(env.Getenv("COLUMNS")); err == nil && n >= 40 {
		return n
	}
	for _, out := range []io.Writer{env.Stdout, env.Stderr} { // stdout may go into a file while a person looks at stderr
		if f, ok := out.(*os.File); ok {
			if w, _, err := term.GetSize(int(f.Fd())); err == nil && w >= 40 {
				return w
			}
		}
	}
	return 100
}

// Colour reports whether output may be coloured: a terminal, and nobody said NO_COLOR (no-color.org).
func Colour(env *Env) bool {
	return IsTerminal(env.Stdout) && env.Getenv("NO_COLOR") == ""
}

// Height is the number of lines of the terminal, 24 where it does not say.
func Height(env *Env) int {
	if f, ok := env.Stdout.(*os.File); ok {
		if _, h, err := term.GetSize(int(f.Fd())); err == nil && h > 0 {
			return h
		}
	}
	return 24
}
