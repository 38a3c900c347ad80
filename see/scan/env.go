package scan

import "time"

// Env is what a Look takes from its caller besides the question: nothing here reads the environment or guesses a directory.
// The zero value looks at this machine's /proc without a cache.
type Env struct {
	Proc    string        // where procfs is mounted; "" means /proc
	Cache   string        // directory of the object cache; "" means none. It is made with mode 0700
	Version string        // of staunch, for Report.Scanner
	Workers int           // readers at work at once; 0 means one a CPU
	Limit   time.Duration // what one process or one file may take before it is given up; 0 means 3 s
}

// Progress is one step of a Look; Total 0 means the end is not known.
type Progress struct {
	Says  string
	Done  int64
	Total int64
}
