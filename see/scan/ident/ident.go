// Package ident says what makes content the same as before, and what may be known of it: by these keys a look, its archives and the cache speak of files.
package ident

import (
	"time"

	"golang.org/x/sys/unix"
)

// Key identifies content on this machine. Device numbers of file systems without a device of their own (overlay, tmpfs) are given to
// others later: there Mount holds the id that the kernel never uses twice between boots, and a key without one is not kept.
type Key struct {
	Dev, Ino uint64
	Size     int64
	Time     int64 // of the inode's last change, in nanoseconds of the Unix epoch
	Mount    uint64
}

// KeyOf is the key of what a statx describes.
func KeyOf(st *unix.Statx_t) Key {
	k := Key{
		Dev: uint64(st.Dev_major)<<32 | uint64(st.Dev_minor), Ino: st.Ino, Size: int64(st.Size),
		Time: st.Ctime.Sec*1e9 + int64(st.Ctime.Nsec),
	}
	if st.Dev_major == 0 && st.Mask&unix.STATX_MNT_ID_UNIQUE != 0 {
		k.Mount = st.Mnt_id
	}
	return k
}

// Keep tells whether a cache may answer for this key later.
func (k Key) Keep(now time.Time) bool {
	if k.Dev>>32 == 0 && k.Mount == 0 {
		return false
	}
	return now.UnixNano()-k.Time > int64(2*time.Second) // younger: another change may get the same time
}

// Sum says which checksum of the whole file to take.
type Sum struct {
	Kind string // md5, sha1, sha256; "" none
	Lazy bool   // only of objects that hold a component: nothing is ever said of the others
}

// Entry is what is known of one file's content.
type Entry struct {
	ID      string // elf.Object.ID; "" when it is no ELF file
	SumKind string
	Sum     string // lower-case hex; "" when none was taken
}

// ArchiveKey identifies an archive's content under the name that it is reported by.
type ArchiveKey struct {
	Content Key
	Name    string
}
