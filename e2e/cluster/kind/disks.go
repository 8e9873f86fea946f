package kind

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"

	"blackout/e2e/cluster"
	"blackout/e2e/power/disk"
	"blackout/e2e/scenario"
	"blackout/e2e/workspace"
)

// DiskSpec is what nodes keep their data on: each one file system for Longhorn,
// a control plane one more for etcd.
type DiskSpec struct {
	Filesystem scenario.Filesystem
	// Size of each file system in bytes. Its image takes no room before it is
	// written.
	Size int64
}

const (
	disksDir = "disks"
	// dataDir is what a node sees of its disk: the root is not empty after a check
	// (lost+found), and etcd wants it empty.
	dataDir = "data"

	longhornDisk = "longhorn"
	etcdDisk     = "etcd"
)

// diskPaths are where nodes have their disks.
var diskPaths = map[string]string{longhornDisk: "/var/lib/longhorn", etcdDisk: "/var/lib/etcd"}

// fileSystem is what is done to a disk.
type fileSystem interface {
	Make(ctx context.Context, size int64) error
	Mount(ctx context.Context) error
	Unmount(ctx context.Context) error
	Return(ctx context.Context) (disk.Outcome, error)
	Open() (liveFileSystem, error)
	// broken tells what there is against writing to it, or "".
	broken() (string, error)
	mounted() (bool, error)
}

// liveFileSystem is one that is mounted and held.
type liveFileSystem interface {
	Shutdown() error
	Close() error
}

// nodeDisk is one file system of one node.
type nodeDisk struct {
	fileSystem

	node       string
	name       string
	filesystem scenario.Filesystem
	image      string // NAME.FILESYSTEM in the node's directory
	mountPoint string // NAME there
}

// newFileSystem is replaced in tests.
var newFileSystem = func(d disk.Disk) fileSystem { return realDisk{d} }

func (p *Provider) newDisk(node, name string, filesystem scenario.Filesystem) nodeDisk {
	dir := filepath.Join(p.workspace.Run(p.spec.Run), disksDir, node)
	d := nodeDisk{
		node: node, name: name, filesystem: filesystem,
		image: filepath.Join(dir, name+"."+string(filesystem)), mountPoint: filepath.Join(dir, name),
	}
	d.fileSystem = newFileSystem(disk.Disk{
		Image: d.image, MountPoint: d.mountPoint, Filesystem: filesystem, Release: p.timeouts.DiskRelease,
	})
	return d
}

// disksOf finds the disks of these nodes, in the nodes' order. Their files say all
// there is to know: the process that made them may be dead.
func (p *Provider) disksOf(nodes []string) ([]nodeDisk, error) {
	var disks []nodeDisk
	for _, node := range nodes {
		entries, err := os.ReadDir(filepath.Join(p.workspace.Run(p.spec.Run), disksDir, node))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("find the disks of node %s: %w", node, err)
		}
		for _, file := range entries {
			name, filesystem, image := strings.Cut(file.Name(), ".")
			if _, known := diskPaths[name]; image && known {
				disks = append(disks, p.newDisk(node, name, scenario.Filesystem(filesystem)))
			}
		}
	}
	return disks, nil
}

// makeDisks makes and mounts every node's disks and tells kind of them. What fails
// half-way stays for Destroy.
func (p *Provider) makeDisks(ctx context.Context, config *v1alpha4.Cluster) error {
	if p.spec.Disks == nil {
		return nil
	}
	if err := disk.Check(p.spec.Disks.Filesystem); err != nil {
		return fmt.Errorf("make the nodes' disks: %w", err)
	}
	for i, node := range p.spec.NodeNames() {
		names := []string{longhornDisk}
		if config.Nodes[i].Role == v1alpha4.ControlPlaneRole {
			names = append(names, etcdDisk)
		}
		for _, name := range names {
			data, err := p.makeDisk(ctx, p.newDisk(node, name, p.spec.Disks.Filesystem))
			if err != nil {
				return fmt.Errorf("make the disk %s of node %s: %w", name, node, err)
			}
			config.Nodes[i].ExtraMounts = append(config.Nodes[i].ExtraMounts, v1alpha4.Mount{
				HostPath: data, ContainerPath: diskPaths[name],
				// What pods mount below must not come to this machine: it would keep
				// the disk from being unmounted.
				Propagation: v1alpha4.MountPropagationNone,
			})
		}
	}
	return nil
}

func (p *Provider) makeDisk(ctx context.Context, d nodeDisk) (data string, err error) {
	const private = 0o700 // etcd refuses more
	if err := os.MkdirAll(d.mountPoint, private); err != nil {
		return "", err
	}
	if err := d.Make(ctx, p.spec.Disks.Size); err != nil {
		return "", err
	}
	if err := d.Mount(ctx); err != nil {
		return "", err
	}
	data = filepath.Join(d.mountPoint, dataDir)
	if err := os.MkdirAll(data, private); err != nil {
		return "", err
	}
	// The first cut may drop what is not synced.
	return data, workspace.SyncDir(d.mountPoint)
}

// returnDisks checks and mounts disks, one after another, which replays their
// journals. One that is mounted and well is left as it is.
func (p *Provider) returnDisks(ctx context.Context, disks []nodeDisk) ([]cluster.DiskReturn, error) {
	var returns []cluster.DiskReturn
	for _, d := range disks {
		outcome, err := p.returnDisk(ctx, d)
		if err != nil {
			return returns, fmt.Errorf("give node %s its disk %s back: %w; look at %s, or destroy the cluster", d.node, d.name, err, d.image)
		}
		returns = append(returns, cluster.DiskReturn{
			Node: d.node, Path: diskPaths[d.name], Filesystem: d.filesystem, Replayed: outcome.Replayed, Outcome: outcome.Said,
		})
	}
	return returns, nil
}

func (p *Provider) returnDisk(ctx context.Context, d nodeDisk) (disk.Outcome, error) {
	mounted, err := d.mounted()
	if err != nil {
		return disk.Outcome{}, err
	}
	if mounted {
		broken, err := d.broken()
		if err != nil {
			return disk.Outcome{}, err
		}
		if broken == "" {
			return disk.Outcome{Said: "it was mounted and well"}, nil
		}
		if err := d.Unmount(ctx); err != nil {
			return disk.Outcome{}, err
		}
	}
	return d.Return(ctx)
}

// OnDisks makes Restore call look when the disks of nodes are mounted again and
// none of the nodes runs yet: what the outage left can then be read.
func (p *Provider) OnDisks(look func(ctx context.Context, nodes []string) error) { p.onDisks = look }

// ErrNoDisk says that a node has no disk of its own that is mounted on this
// machine now.
var ErrNoDisk = errors.New("the node has no mounted disk of its own")

// LonghornDir is where this machine sees Longhorn's data of a node, which is what
// the node has at /var/lib/longhorn.
func (p *Provider) LonghornDir(node string) (string, error) {
	disks, err := p.disksOf([]string{node})
	if err != nil {
		return "", err
	}
	at := slices.IndexFunc(disks, func(d nodeDisk) bool { return d.name == longhornDisk })
	if at < 0 {
		return "", fmt.Errorf("%w: %s", ErrNoDisk, node)
	}
	if mounted, err := disks[at].mounted(); err != nil || !mounted {
		return "", errors.Join(err, fmt.Errorf("%w: %s", ErrNoDisk, node))
	}
	return filepath.Join(disks[at].mountPoint, dataDir), nil
}

// brokenDisk tells which of the disks cannot be written to, or "".
func brokenDisk(disks []nodeDisk) (string, error) {
	for _, d := range disks {
		why, err := d.broken()
		if err != nil {
			return "", fmt.Errorf("look at the disk %s of node %s: %w", d.name, d.node, err)
		}
		if why != "" {
			return fmt.Sprintf("the disk %s of node %s %s", d.name, d.node, why), nil
		}
	}
	return "", nil
}

// realDisk adds to a disk what a cut asks of it.
type realDisk struct{ disk.Disk }

func (r realDisk) Open() (liveFileSystem, error) { return r.Disk.Open() }

func (r realDisk) mounted() (bool, error) {
	points, err := workspace.MountsBelow(r.MountPoint)
	return slices.Contains(points, r.MountPoint), err
}

func (r realDisk) broken() (string, error) {
	mounted, err := r.mounted()
	if err != nil {
		return "", err
	}
	if !mounted {
		return "is not mounted on " + r.MountPoint, nil
	}
	down, err := r.IsShutdown()
	switch {
	case err != nil:
		return "cannot be written to: " + err.Error(), nil //nolint:nilerr // that is the answer
	case down:
		return "is shut down", nil
	}
	return "", nil
}
