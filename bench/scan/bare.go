package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// bare reads, one after the other, exactly the files and links of /proc that a report needs, and understands nothing of them.
func bare(root string) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return
	}
	buf := make([]byte, 1<<20)
	nets, files := map[string]bool{}, map[string]bool{}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		dir := filepath.Join(root, e.Name())
		if read(dir+"/stat", buf) == nil {
			continue
		}
		read(dir+"/status", buf)
		read(dir+"/cgroup", buf)
		for _, link := range []string{"/exe", "/root", "/ns/mnt"} {
			readlink(dir + link)
		}
		net := readlink(dir + "/ns/net")
		if net == "" {
			continue // a thread of the kernel
		}
		ns := readlink(dir + "/ns/mnt")
		eachCode(read(dir+"/maps", buf), func(name, path string) {
			if key := ns + path; !files[key] {
				files[key] = true
				var st syscall.Stat_t
				_ = syscall.Stat(dir+"/map_files/"+name, &st)
				_ = syscall.Stat(dir+"/root"+path, &st)
			}
		})
		fds(dir + "/fd")
		if !nets[net] {
			nets[net] = true
			for _, table := range []string{"tcp", "tcp6", "udp", "udp6", "fib_trie", "if_inet6"} {
				read(dir+"/net/"+table, buf)
			}
		}
	}
}

func fds(dir string) {
	f, err := os.Open(dir)
	if err != nil {
		return
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return
	}
	for _, name := range names {
		readlink(dir + "/" + name)
	}
}

func read(path string, buf []byte) []byte {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer syscall.Close(fd)
	n := 0
	for n < len(buf) {
		got, err := syscall.Read(fd, buf[n:])
		if err != nil || got == 0 {
			break
		}
		n += got
	}
	return buf[:n]
}

func readlink(path string) string {
	var b [4096]byte
	n, err := syscall.Readlink(path, b[:])
	if err != nil {
		return ""
	}
	return string(b[:n])
}

func eachCode(maps []byte, yield func(name, path string)) {
	for line := range bytes.Lines(maps) {
		s := string(line)
		fields := strings.Fields(s)
		if len(fields) < 6 || !strings.Contains(fields[1], "x") || !strings.HasPrefix(fields[5], "/") {
			continue
		}
		begin, end, _ := strings.Cut(fields[0], "-")
		yield(strings.TrimLeft(begin, "0")+"-"+strings.TrimLeft(end, "0"), fields[5])
	}
}
