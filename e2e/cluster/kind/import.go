package kind

import (
	"context"
	"fmt"
	"os"

	"blackout/e2e/cluster"
)

// Import hands images (an archive as "docker save" writes it) to the container
// runtimes of running nodes. A node unpacks what it runs.
func (p *Provider) Import(ctx context.Context, archive string, nodes ...string) error {
	return cluster.All(nodes, func(_ int, node string) error {
		f, err := os.Open(archive)
		if err != nil {
			return fmt.Errorf("open an image archive: %w", err)
		}
		defer func() { _ = f.Close() }()
		if _, err := p.engine.Pipe(ctx, f, "exec", "--interactive", node, "ctr", "--namespace=k8s.io", "images", "import", "--no-unpack", "-"); err != nil {
			return fmt.Errorf("put an image into node %s: %w", node, err)
		}
		return nil
	})
}
