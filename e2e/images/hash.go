package images

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// keyLength of a key in hexadecimal digits: 64 bits, short enough for a tag.
const keyLength = 16

// hasher collects everything that decides what an image will hold. Each input
// goes in with its length and a name, so that no two lists of inputs meet in
// one sum by moving a border.
type hasher struct{ sum hash.Hash }

func newHasher(kind string) *hasher {
	h := &hasher{sum: sha256.New()}
	h.text("kind", kind)
	return h
}

func (h *hasher) text(name string, values ...string) {
	_, _ = fmt.Fprintf(h.sum, "%d %s %d\n", len(name), name, len(values))
	for _, value := range values {
		_, _ = fmt.Fprintf(h.sum, "%d %s\n", len(value), value)
	}
}

// file adds a file's content and whether it is executable, under a name that
// does not depend on where the checkout lies.
func (h *hasher) file(name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("hash the inputs: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("hash the inputs: %w", err)
	}
	const anyExecute = 0o111
	content := sha256.New()
	if _, err := io.Copy(content, f); err != nil {
		return fmt.Errorf("hash %s: %w", path, err)
	}
	h.text("file", name, fmt.Sprint(info.Mode()&anyExecute != 0), hex.EncodeToString(content.Sum(nil)))
	return nil
}

// tree adds every regular file and symbolic link below root, in order of their
// names, for which keep says so; keep may be nil.
func (h *hasher) tree(root string, keep func(name string) bool) error {
	var files []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case keep != nil && !keep(entry.Name()):
			return nil
		case entry.Type().IsRegular(), entry.Type()&fs.ModeSymlink != 0:
			relative, err := filepath.Rel(root, path)
			files = append(files, relative)
			return err
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("hash the inputs: %w", err)
	}
	return h.files(root, files)
}

// files adds the named files below root; a name that has gone is an input too.
func (h *hasher) files(root string, names []string) error {
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		path := filepath.Join(root, name)
		info, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR): // a file stands where its directory was
			h.text("absent", name)
		case err != nil:
			return fmt.Errorf("hash the inputs: %w", err)
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return fmt.Errorf("hash the inputs: %w", err)
			}
			h.text("link", name, target)
		case info.Mode().IsRegular():
			if err := h.file(name, path); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *hasher) key() string { return hex.EncodeToString(h.sum.Sum(nil))[:keyLength] }

// joinKey names a cache entry: readable first, unique last.
func joinKey(name, key string) string { return strings.ReplaceAll(name, "/", "-") + "-" + key }
