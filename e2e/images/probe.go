package images

import "context"

// BuildLock names the workspace's lock that a build holds. Whoever works in the
// workspace's Tmp without being a build takes it too, so that no build clears
// Tmp meanwhile.
const BuildLock = buildMark

// ProbeModule is a pinned module that every build without a registry needs: the
// one to ask a module proxy for.
const ProbeModule = "github.com/versity/versitygw@" + objectStoreVersion

// RegistryAnswers asks the image registry for one small thing that every run
// needs, within Timeouts.RegistryProbe. Only Timeouts and RegistryPrefix of the
// Builder matter.
func (b *Builder) RegistryAnswers(ctx context.Context) error { return registrySource{b}.answers(ctx) }

// Warm tells whether the large parts were built before. Without fixtures no key
// can be computed, and nothing counts as built.
func (b *Builder) Warm() bool {
	ctx := context.Background()
	return len(b.largeEntries(ctx)) > 0 && b.warm(ctx)
}
