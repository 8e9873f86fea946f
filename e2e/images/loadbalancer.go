package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

var loadBalancerImage = regexp.MustCompile(`const Image = "([^"]+)"`)

// EnsureLoadBalancer provides the image that kind puts before several control
// planes, under the name that kind's library will ask for, from the source that
// Ensure has chosen before.
func (b *Builder) EnsureLoadBalancer(ctx context.Context) error {
	if b.ensured == nil {
		return errors.New("provide kind's load balancer: no source of images is chosen yet; call Ensure first")
	}
	const usual = 20 * time.Second
	b.Progress.Expect(1)
	step := b.Progress.Step("load balancer for several control planes", usual)
	cached, err := b.provideLoadBalancer(ctx)
	if err != nil {
		step.Failed()
		return fmt.Errorf("provide kind's load balancer: %w", err)
	}
	elapsed := step.Done
	if cached {
		elapsed = step.Cached
	}
	b.record("load balancer", elapsed(), cached)
	return nil
}

func (b *Builder) provideLoadBalancer(ctx context.Context) (cached bool, err error) {
	kindDir, err := b.moduleDir(ctx, filepath.Dir(b.Fixtures), kindModule)
	if err != nil {
		return false, err
	}
	ref, err := loadBalancerRef(kindDir)
	if err != nil {
		return false, err
	}
	found, err := b.inspected(ctx, ref.String())
	if err != nil || found {
		return found, err
	}
	return false, b.ensured.LoadBalancer(ctx, ref, kindDir)
}

// loadBalancerRef reads the name out of kind's source, the only place: kind
// keeps it in an internal package.
func loadBalancerRef(kindDir string) (name.Tag, error) {
	path := filepath.Join(kindDir, "pkg", "cluster", "internal", "loadbalancer", "const.go")
	source, err := os.ReadFile(path)
	if err != nil {
		return name.Tag{}, fmt.Errorf("read the name of the image: %w", err)
	}
	match := loadBalancerImage.FindSubmatch(source)
	if match == nil {
		return name.Tag{}, fmt.Errorf("%s names no image where it did in the pinned version; adapt loadBalancerImage", path)
	}
	ref, err := name.NewTag(string(match[1]))
	if err != nil {
		return name.Tag{}, fmt.Errorf("read the name of the image: %w", err)
	}
	return ref, nil
}

// inspected tells whether the engine holds an image. Unlike a filter of a list,
// inspecting understands names that begin with the default registry's host.
func (b *Builder) inspected(ctx context.Context, ref string) (bool, error) {
	_, err := b.Engine.Run(ctx, "image", "inspect", "--format", "{{.Id}}", ref)
	if err == nil {
		return true, nil
	}
	says := strings.ToLower(err.Error())
	for _, absent := range []string{"no such image", "image not known"} { // docker's words, and podman's
		if strings.Contains(says, absent) {
			return false, nil
		}
	}
	return false, err
}

// LoadBalancer implements Source: the released image, from the mirror if one is
// set.
func (s registrySource) LoadBalancer(ctx context.Context, ref name.Tag, _ string) error {
	from := ref
	if s.b.RegistryPrefix != "" {
		var err error
		if from, err = s.reference(ref.RepositoryStr(), ref.TagStr()); err != nil {
			return err
		}
	}
	digest, err := s.digest(ctx, from)
	if err != nil {
		return err
	}
	image, err := s.image(ctx, digest)
	if err != nil {
		return err
	}
	if image, err = labeled(image); err != nil {
		return err
	}
	return s.b.load(ctx, ref, image)
}

// LoadBalancer implements Source: Debian's haproxy out of the node's root file
// system with kind's own configuration.
func (s moduleSource) LoadBalancer(ctx context.Context, ref name.Tag, kindDir string) error {
	path, _, err := s.b.debian(ctx, s.nodeRootfs())
	if err != nil {
		return err
	}
	root, err := tarball.LayerFromFile(path, stored)
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
		entrypoint: []string{"haproxy", "-W", "-db", "-n", balancerConnections, "-f", "/" + config},
	}.image()
	if err != nil {
		return err
	}
	return s.b.load(ctx, ref, image)
}

// balancerConnections goes before kind's own maxconn of 100000, for which haproxy
// wants more file descriptors than a constrained host lets it have.
const balancerConnections = "4000"
