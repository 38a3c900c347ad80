// Package numbered gives equal things one small number, so that what has them can refer to them.
package numbered

import "encoding/binary"

// Table gives equal values one number, from 0 in the order in which they came.
type Table[T comparable] struct {
	All []T // by number; only read by others
	at  map[T]int32
}

// Of is the number of v, a new one if it never came before.
func (t *Table[T]) Of(v T) int32 {
	if i, known := t.at[v]; known {
		return i
	}
	if t.at == nil {
		t.at = map[T]int32{}
	}
	i := int32(len(t.All))
	t.at[v] = i
	t.All = append(t.All, v)
	return i
}

// Known is the number of v, and false if it never came.
func (t *Table[T]) Known(v T) (int32, bool) {
	i, known := t.at[v]
	return i, known
}

// Lists gives equal lists of numbers one number, from 0 in the order in which they came.
type Lists struct {
	All [][]int32 // by number; only read by others
	at  map[string]int32
}

// Of is the number of list, which is copied if it never came before.
func (l *Lists) Of(list []int32) int32 {
	key := make([]byte, 0, 4*len(list))
	for _, n := range list {
		key = binary.LittleEndian.AppendUint32(key, uint32(n))
	}
	if i, known := l.at[string(key)]; known {
		return i
	}
	if l.at == nil {
		l.at = map[string]int32{}
	}
	i := int32(len(l.All))
	l.at[string(key)] = i
	l.All = append(l.All, append([]int32(nil), list...))
	return i
}
