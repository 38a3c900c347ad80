package inventory

import (
	"encoding/binary"
)

// table gives equal values one number, from 0.
type table[T comparable] struct {
	at  map[T]int32
	all []T
}

func (t *table[T]) of(v T) int32 {
	if i, known := t.at[v]; known {
		return i
	}
	if t.at == nil {
		t.at = map[T]int32{}
	}
	i := int32(len(t.all))
	t.at[v] = i
	t.all = append(t.all, v)
	return i
}

// lists gives equal lists of numbers one number; the empty list is number 0.
type lists struct {
	at  map[string]int32
	all [][]int32
}

func (l *lists) of(list []int32) int32 {
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
	i := int32(len(l.all))
	l.at[string(key)] = i
	l.all = append(l.all, append([]int32(nil), list...))
	return i
}
