package images

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// ErrNotBuilt marks what was not compiled on this machine.
var ErrNotBuilt = errors.New("not built here")

// ControlPlane is what an API server without nodes is started from.
type ControlPlane struct {
	Kubernetes string // a program that is what it is called as, such as kube-apiserver
	Etcd       string
	CRDs       []byte // Longhorn's
}

// etcdInRootfs is where Debian's package has it.
const etcdInRootfs = "./usr/bin/etcd"

// ControlPlane takes the programs out of what was built for nodes, and builds
// nothing: what is missing is an ErrNotBuilt. Etcd is copied into dir. The CRDs
// are those of a version of Longhorn.
func (b *Builder) ControlPlane(ctx context.Context, version, dir string) (ControlPlane, error) {
	s := moduleSource{b}
	program, err := s.kubernetesProgram().entry(ctx, b)
	if err != nil {
		return ControlPlane{}, err
	}
	root, err := s.baseRootfs().entry(b)
	if err != nil {
		return ControlPlane{}, err
	}
	for _, e := range []entry{program, root} {
		if !exists(e.path()) {
			return ControlPlane{}, fmt.Errorf("%s: %w; run: make images IMAGES=%s", e.title, ErrNotBuilt, Module)
		}
	}
	found := ControlPlane{Kubernetes: filepath.Join(program.path(), "kubernetes"), Etcd: filepath.Join(dir, "etcd")}
	if err := extract(root.path(), etcdInRootfs, found.Etcd); err != nil {
		return ControlPlane{}, err
	}
	found.CRDs, err = b.crds(ctx, version)
	return found, err
}

// extract writes one program of a tar archive.
func extract(archive, name, to string) error {
	in, err := os.Open(archive)
	if err != nil {
		return fmt.Errorf("open the root file system: %w", err)
	}
	defer func() { _ = in.Close() }()
	for files := tar.NewReader(in); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%s has no %s; run: make images IMAGES=%s", archive, strings.TrimPrefix(name, "."), Module)
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", archive, err)
		}
		if header.Name != name || header.Typeflag != tar.TypeReg {
			continue
		}
		out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, executable)
		if err != nil {
			return fmt.Errorf("extract %s: %w", name, err)
		}
		_, err = io.Copy(out, files)
		if err := errors.Join(err, out.Close()); err != nil {
			return fmt.Errorf("extract %s: %w", name, err)
		}
		return nil
	}
}
