package fleet

import (
	"fmt"
	"strconv"
	"strings"

	"staunch/fault"
)

// Expand writes a host pattern out: web[01-20] keeps the zeros, db[a-c], rack[1-3,7]-node[1-2]. A name without brackets is itself.
func Expand(pattern string) ([]string, error) {
	if len(pattern) > 300 {
		return nil, fault.New(fault.Usage, "host pattern %.40q... is too long", pattern)
	}
	names := []string{""}
	for rest := pattern; rest != ""; {
		plain, tail, open := strings.Cut(rest, "[")
		if strings.Contains(plain, "]") {
			return nil, badPattern(pattern)
		}
		parts := []string{""}
		if open {
			inside, after, closed := strings.Cut(tail, "]")
			var err error
			if parts, err = ranges(inside); !closed || err != nil {
				return nil, badPattern(pattern)
			}
			tail = after
		}
		if len(names)*len(parts) > MaxHosts {
			return nil, fault.New(fault.Full, "host pattern %q stands for over %d hosts", pattern, MaxHosts)
		}
		var grown []string
		for _, n := range names {
			for _, p := range parts {
				grown = append(grown, n+plain+p)
			}
		}
		names, rest = grown, tail
	}
	return names, nil
}

func badPattern(pattern string) error {
	return fault.New(fault.Usage, "host pattern %q cannot be read", pattern).Hinted("as in web[01-20], db[a-c] or rack[1-3,7]")
}

// ranges writes "1-3,7" out.
func ranges(list string) ([]string, error) {
	var out []string
	for item := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(item, "-")
		if !isRange {
			to = from
		}
		some, err := span(from, to)
		if err != nil || len(out)+len(some) > MaxHosts {
			return nil, fmt.Errorf("bad range %q", item)
		}
		out = append(out, some...)
	}
	return out, nil
}

// span counts from a to b: single letters, or numbers padded to the width of the first.
func span(a, b string) ([]string, error) {
	if len(a) == 1 && len(b) == 1 && letter(a[0]) && letter(b[0]) && a[0] <= b[0] {
		var out []string
		for c := a[0]; c <= b[0]; c++ {
			out = append(out, string(c))
		}
		return out, nil
	}
	from, err := strconv.ParseUint(a, 10, 32)
	if err != nil {
		return nil, err
	}
	to, err := strconv.ParseUint(b, 10, 32)
	if err != nil || to < from || to-from >= MaxHosts {
		return nil, fmt.Errorf("bad range %s to %s", a, b)
	}
	var out []string
	for i := from; i <= to; i++ {
		out = append(out, fmt.Sprintf("%0*d", len(a), i))
	}
	return out, nil
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
