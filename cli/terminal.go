package cli

import (
	"io"
	"os"
	"strconv"

	"golang.org/x/term"
)

// isTerminal reports whether w is a terminal that a person looks at.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// terminalWidth is the number of columns to write for: COLUMNS, else the terminal's own, else 100.
func terminalWidth(env *Env) int {
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

// colour reports whether output may be coloured: a terminal, and nobody said NO_COLOR (no-color.org).
func colour(env *Env) bool {
	return isTerminal(env.Stdout) && env.Getenv("NO_COLOR") == ""
}
