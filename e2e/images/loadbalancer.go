package images

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

var loadBalancerImage = regexp.MustCompile(`const Image = "([^"]+)"`)

// EnsureLoadBalancer provides the image that kind puts before several control
// planes, under the name that kind's library will ask for. Where a registry
// answers that is the released one, else Debian's haproxy out of the node's root
// file system with kind's own configuration.
func (b *Builder) EnsureLoadBalancer(ctx context.Context) error {
	const usual = 20 * time.Second
	b.Progress.Expect(1)
	step := b.Progress.Step("load balancer for several control planes", usual)
	kindDir, err := b.moduleDir(ctx, filepath.Dir(b.Fixtures), kindModule)
	if err != nil {
		step.Failed()
		return err
	}
	// kind keeps the name in an internal package: its source is the only place.
	source, err := os.ReadFile(filepath.Join(kindDir, "pkg", "cluster", "internal", "loadbalancer", "const.go"))
	if err != nil {
		step.Failed()
		return fmt.Errorf("read the name of kind's load balancer image: %w", err)
	}
	match := loadBalancerImage.FindSubmatch(source)
	if match == nil {
		step.Failed()
		return fmt.Errorf("kind's source names no load balancer image where it did in the pinned version")
	}
	ref, err := name.NewTag(string(match[1]))
	if err != nil {
		step.Failed()
		return fmt.Errorf("name the load balancer image: %w", err)
	}
	found, err := b.Engine.HasImage(ctx, ref.String())
	if err != nil {
		step.Failed()
		return err
	}
	if found {
		b.record("load balancer", step.Cached(), true)
		return nil
	}
	if registry := (registrySource{b}); registry.ask(ctx, ref) == nil {
		step.Note("pulling %s", ref)
		_, err = b.Engine.Run(ctx, "pull", ref.String())
	} else {
		err = b.buildLoadBalancer(ctx, ref, kindDir)
	}
	if err != nil {
		step.Failed()
		return fmt.Errorf("provide kind's load balancer: %w", err)
	}
	b.record("load balancer", step.Done(), false)
	return nil
}

func (b *Builder) buildLoadBalancer(ctx context.Context, ref name.Tag, kindDir string) error {
	e, err := moduleSource{b}.nodeRootfs().entry(b)
	if err != nil {
		return err
	}
	root, err := tarball.LayerFromFile(e.path(), stored)
	if err != nil {
		return fmt.Errorf("read the root file system: %w", err)
	}
	const config = "usr/local/etc/haproxy/haproxy.cfg"
	layer, err := layerOf([]file{{path: config, from: filepath.Join(kindDir, "images", "haproxy", "haproxy.cfg"), mode: plain}})
	if err != nil {
		return err
	}
	image, err := recipe{
		ref: ref.String(), layers: []v1.Layer{root, layer}, stopSignal: "SIGUSR1",
		entrypoint: []string{"haproxy", "-W", "-db", "-f", "/" + config},
	}.image()
	if err != nil {
		return err
	}
	return b.load(ctx, ref, image)
}
