package build

import (
	"archive/tar"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"

	"staunch/fault"
)

// Limits of a source archive.
const (
	maxSource = 512 << 20 // packed
	maxBytes  = 4 << 30   // unpacked
	maxFiles  = 200_000
)

// unpack writes an archive below dir. Nothing leaves dir, whatever the archive's names and links say.
func unpack(archive []byte, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fault.New(fault.Denied, "%v", err)
	}
	defer func() { _ = root.Close() }() // a folder that was only walked: what was written in it was closed and checked
	plain, err := inflated(archive)
	if err != nil {
		return err
	}
	left, in := int64(maxBytes), tar.NewReader(plain)
	for n := 0; ; n++ {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fault.New(fault.Corrupt, "the source is no tar archive: %v", err)
		}
		if left -= h.Size; n >= maxFiles || left < 0 {
			return fault.New(fault.Full, "the source unpacks to more than %d files or %d bytes", maxFiles, int64(maxBytes))
		}
		if err := put(root, h, in); err != nil {
			return fault.New(fault.Corrupt, "the source holds %.200q: %v", h.Name, err)
		}
	}
}

// inflated tells the compression by its first bytes.
func inflated(archive []byte) (io.Reader, error) {
	in := bytes.NewReader(archive)
	switch {
	case bytes.HasPrefix(archive, []byte("\x1f\x8b")):
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, fault.New(fault.Corrupt, "the source: %v", err)
		}
		return z, nil
	case bytes.HasPrefix(archive, []byte("BZh")):
		return bzip2.NewReader(in), nil
	case bytes.HasPrefix(archive, []byte("\xfd7zXZ")), bytes.HasPrefix(archive, []byte("\x28\xb5\x2f\xfd")):
		return nil, fault.New(fault.Unsupported, "the source is packed with xz or zstd").Hinted("pack it again with gzip, and pin that")
	}
	return in, nil
}

func put(root *os.Root, h *tar.Header, in io.Reader) error {
	name := filepath.FromSlash(path.Clean(h.Name))
	if !filepath.IsLocal(name) {
		return errors.New("it lies outside")
	}
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, 0o755)
	case tar.TypeSymlink:
		return root.Symlink(h.Linkname, name)
	case tar.TypeReg:
		f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644|os.FileMode(h.Mode)&0o111)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, in)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		return root.Chtimes(name, h.ModTime, h.ModTime) // make compares times
	case tar.TypeXGlobalHeader:
		return nil
	}
	return errors.New("it is no file, folder or symbolic link")
}

// top is the only folder of an unpacked archive, or the place itself.
func top(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fault.New(fault.Denied, "%v", err)
	}
	if len(entries) == 1 && entries[0].IsDir() {
		return filepath.Join(dir, entries[0].Name()), nil
	}
	return dir, nil
}
