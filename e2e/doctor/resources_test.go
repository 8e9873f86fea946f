package doctor

import (
	"fmt"
	"testing"
)

func TestMemory(t *testing.T) {
	// kernel counts in KiB
	available := func(bytes uint64) string {
		return tree(t, map[string]string{
			"proc/meminfo": fmt.Sprintf("MemTotal:       %d kB\nMemFree:  1 kB\nMemAvailable:   %d kB\n", 16*gib/kib, bytes/kib),
		})
	}
	expect(t, checkMemory(available(8*gib)), OK, "8.0 GiB available of 16.0 GiB")
	expect(t, checkMemory(available(warnMemory)), OK, "6.0 GiB")
	expect(t, checkMemory(available(warnMemory-kib)), Warn, "6.0 GiB")
	expect(t, checkMemory(available(failMemory)), Warn, "4.0 GiB")
	expect(t, checkMemory(available(failMemory-kib)), Fail, "4.0 GiB")
	expect(t, checkMemory(tree(t, map[string]string{"proc/meminfo": "MemTotal: 1 kB\n"})), Unknown, "does not say")
	expect(t, checkMemory(tree(t, map[string]string{"proc/meminfo": "MemTotal: 1 kB\nMemAvailable: much kB\n"})), Unknown, "does not say")
	expect(t, checkMemory(t.TempDir()), Unknown, "/proc/meminfo")
}

func TestProcessor(t *testing.T) {
	const other = "arm64"
	for name, tc := range map[string]struct {
		count int
		arch  string
		want  Status
		found string
	}{
		"enough":        {wantedCPUs, builtFor, OK, "2 CPUs, amd64"},
		"one":           {1, builtFor, Warn, "1 CPUs"},
		"another kind":  {wantedCPUs, other, Fail, other},
		"count unknown": {0, builtFor, Unknown, "not known"},
	} {
		t.Run(name, func(t *testing.T) { expect(t, checkProcessor(tc.count, tc.arch), tc.want, tc.found) })
	}
}

func space(bytes uint64) func(string) (uint64, error) {
	return func(string) (uint64, error) { return bytes, nil }
}

func noSpaceKnown(string) (uint64, error) { return 0, errPlain }

func TestDisk(t *testing.T) {
	const path = "/var/cache/blackout"
	cold := sources{registry: errPlain}
	for name, tc := range map[string]struct {
		free    func(string) (uint64, error)
		open    error
		sources sources
		want    Status
		found   string
	}{
		"enough for a build":              {space(firstBuildSpace), nil, cold, OK, "12.0 GiB free"},
		"a build would not fit":           {space(firstBuildSpace - 1), nil, cold, Fail, "free"},
		"a build would not fit, registry": {space(firstBuildSpace - 1), nil, sources{}, Warn, "free"},
		"enough after a build":            {space(runSpace), nil, sources{registry: errPlain, warm: true}, OK, "5.0 GiB"},
		"too little for a run":            {space(runSpace - 1), nil, sources{registry: errPlain, warm: true}, Fail, "5.0 GiB"},
		"no workspace":                    {space(firstBuildSpace), errPlain, cold, Fail, "something else"},
		"no answer":                       {noSpaceKnown, nil, cold, Unknown, "something else"},
	} {
		t.Run(name, func(t *testing.T) { expect(t, checkDisk(path, tc.open, tc.free, tc.sources), tc.want, tc.found) })
	}
}

func TestEngineDisk(t *testing.T) {
	const path = "/var/lib/docker"
	expect(t, checkEngineDisk(path, space(runSpace)), OK, path)
	expect(t, checkEngineDisk(path, space(runSpace-1)), Fail, path)
	expect(t, checkEngineDisk(path, noSpaceKnown), Unknown, "something else")
	expect(t, checkEngineDisk("", space(runSpace)), Unknown, "no engine")
}

func TestFreeSpace(t *testing.T) {
	if _, err := freeSpace(t.TempDir()); err != nil {
		t.Error(err)
	}
	if _, err := freeSpace(t.TempDir() + "/none"); err == nil {
		t.Error("a directory that is not there has free space")
	}
}
