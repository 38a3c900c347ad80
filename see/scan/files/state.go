package files

import "time"

// State compares what a process has in memory with what lies on disk now.
type State string

// The states of a mapped file.
const (
	Same        State = "same"
	Deleted     State = "deleted"     // its name is gone
	Replaced    State = "replaced"    // its name is another file now
	Overwritten State = "overwritten" // written in place after the process started: neither code can be proven
)

// slack is how much later than a process's start a file may be written without doubt: starts are known to 10 ms, times of files to 4.
const slack = 20 * time.Millisecond

// settling is how long after its birth a file counts as still being written for the first time.
const settling = 2 * time.Second

// StateFor is the file's state in a process that started at that time.
//
// A file that was born after the process started and never written later was complete when it was mapped (a library that a program
// unpacks for itself), so it is not overwritten.
func (f *File) StateFor(start time.Time) (State, string) {
	if f.mtime.IsZero() {
		return f.State, f.doubt
	}
	born := f.btime.After(start.Add(slack)) && f.btime.Unix() > 0
	switch {
	case f.mtime.After(start.Add(slack)) && !(born && f.mtime.Before(f.btime.Add(settling))):
		if f.State != Same {
			return f.State, "it was also written in place at " + f.mtime.UTC().Format(time.RFC3339) + ", after the process started"
		}
		return Overwritten, f.doubt
	case f.State == Same && f.ctime.After(start.Add(slack)) && !born && f.doubt == "":
		return f.State, "its inode changed at " + f.ctime.UTC().Format(time.RFC3339) + ", after the process started: " +
			"owner, mode or links, or its content with the time put back"
	}
	return f.State, f.doubt
}
