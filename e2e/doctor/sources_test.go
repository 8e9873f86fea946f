package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"blackout/e2e/images"
	"blackout/e2e/scenario"
	"blackout/e2e/workspace"
)

var (
	errResolve   = errors.New("dial tcp: lookup images.example on 192.0.2.1:53: no such host")
	errCancelled = fmt.Errorf("ask: %w", context.Canceled)
)

func TestRegistry(t *testing.T) {
	expect(t, checkRegistry(sources{}, userOnDebian), OK, "answers")
	cold := checkRegistry(sources{registry: errResolve}, userOnDebian)
	expect(t, cold, Warn, "its name does not resolve")
	if !strings.Contains(cold.Means, firstBuild) || !strings.Contains(cold.Means, "takes root") {
		t.Errorf("a user with nothing built is not told what building takes: %s", cold.Means)
	}
	if strings.Contains(cold.Found, "example") {
		t.Errorf("the report names a server: %s", cold.Found)
	}
	warm := checkRegistry(sources{registry: errResolve, warm: true}, rootOnDebian)
	expect(t, warm, Warn, "no image registry")
	if strings.Contains(warm.Means, firstBuild) {
		t.Errorf("a first build is announced where it is done: %s", warm.Means)
	}
	expect(t, checkRegistry(sources{registry: errCancelled}, rootOnDebian), Unknown, "interrupted")
}

func TestModules(t *testing.T) {
	for name, tc := range map[string]struct {
		sources sources
		want    Status
		found   string
	}{
		"answers":                        {sources{registry: errResolve}, OK, "answers"},
		"all silent, nothing built":      {sources{registry: errResolve, modules: errResolve}, Fail, "does not resolve"},
		"all silent, built before":       {sources{registry: errResolve, modules: errResolve, warm: true}, Warn, "does not resolve"},
		"silent, but a registry answers": {sources{modules: errResolve}, Warn, "does not resolve"},
		"no go":                          {sources{modules: fmt.Errorf("go: %w", exec.ErrNotFound)}, Fail, "no go command"},
		"interrupted":                    {sources{modules: errCancelled}, Unknown, "canceled"},
		"not asked":                      {sources{modules: fmt.Errorf("%w: disk full", errNotAsked)}, Unknown, "disk full"},
	} {
		t.Run(name, func(t *testing.T) { expect(t, checkModules(tc.sources), tc.want, tc.found) })
	}
}

func TestCause(t *testing.T) {
	for text, want := range map[string]string{
		`Head "https://images.example/v2/": context deadline exceeded`:                     "no answer in time",
		`HEAD https://images.example/v2/x: unexpected status code 403 Forbidden`:           "it refuses access",
		`reading https://modules.example/x.info: 404 Not Found`:                            "it does not have what was asked for",
		`dial tcp 192.0.2.1:443: connect: connection refused`:                              "the connection is refused",
		`go: x@v1: module lookup disabled by GOPROXY=off`:                                  "GOPROXY is off",
		`tls: failed to verify certificate: x509: certificate signed by unknown authority`: "its certificate is not trusted",
		`images.example said something nobody foresaw`:                                     "the request failed",
	} {
		if got := cause(errors.New(text)); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// fakeProxy serves one version of one module.
func fakeProxy(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/blackout.example/probe/@v/v1.0.0.info":
		_, _ = w.Write([]byte(`{"Version":"v1.0.0"}`))
	case "/blackout.example/probe/@v/v1.0.0.mod":
		_, _ = w.Write([]byte("module blackout.example/probe\n"))
	default:
		http.NotFound(w, r)
	}
}

func TestAskModuleProxy(t *testing.T) {
	const (
		known, unknown = "blackout.example/probe@v1.0.0", "blackout.example/probe@v2.0.0"
		patience       = time.Minute
		impatience     = 100 * time.Millisecond
	)
	// Nobody's own settings decide what the fake is asked for.
	t.Setenv("GOENV", "off")
	t.Setenv("GOPRIVATE", "")
	t.Setenv("GONOPROXY", "")
	server := httptest.NewServer(http.HandlerFunc(fakeProxy))
	defer server.Close()
	t.Setenv("GOPROXY", server.URL)
	if err := askModuleProxy(t.Context(), known, patience); err != nil {
		t.Errorf("a proxy that answers: %v", err)
	}
	err := askModuleProxy(t.Context(), unknown, patience)
	if err == nil || cause(err) != "it does not have what was asked for" {
		t.Errorf("a proxy without the module: %v", err)
	}
	server.Close()
	if err := askModuleProxy(t.Context(), known, patience); err == nil || cause(err) != "the connection is refused" {
		t.Errorf("no proxy, and the same module asked for before: %v", err)
	}

	hang := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer silent.Close()
	defer close(hang)
	t.Setenv("GOPROXY", silent.URL)
	if err := askModuleProxy(t.Context(), known, impatience); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a proxy that hangs: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if err := askModuleProxy(t.Context(), known, patience); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("no go command: %v", err)
	}
}

func TestProbeImages(t *testing.T) {
	const manifests = "/manifests/"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, manifests) {
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("0", 64))
			w.Header().Set("Content-Length", "1")
		}
	}))
	defer server.Close()
	m := Machine{Timeouts: scenario.DefaultTimeouts(), RegistryPrefix: strings.TrimPrefix(server.URL, "http://") + "/"}
	warm, registry := probeImages(t.Context(), m, workspace.Workspace{}, "")
	if registry != nil || warm {
		t.Errorf("a registry that answers, and nothing built: %v, warm %t", registry, warm)
	}
	server.Close()
	ws := workspace.Workspace{Root: t.TempDir()}
	if warm, registry = probeImages(t.Context(), m, ws, filepath.Join(ws.Root, "none")); registry == nil || warm {
		t.Errorf("no registry, and no fixtures: %v, warm %t", registry, warm)
	}
	if (&images.Builder{Workspace: ws}).Warm() {
		t.Error("an empty workspace counts as built")
	}
}

func TestPackages(t *testing.T) {
	const offered = "mmdebstrap:\n  Installed: (none)\n  Candidate: 1.3.5-7\n  Version table:\n"
	expect(t, checkPackages(rootOnDebian, offered, nil), OK, "mmdebstrap 1.3.5-7")
	expect(t, checkPackages(rootOnDebian, strings.Replace(offered, "1.3.5-7", "(none)", 1), nil), Warn, "do not offer")
	expect(t, checkPackages(rootOnDebian, "", nil), Warn, "do not offer")
	expect(t, checkPackages(rootOnDebian, "", errPlain), Unknown, "something else")
	expect(t, checkPackages(rootElsewhere, "", nil), Unknown, "neither Debian nor Ubuntu")
}

func TestTools(t *testing.T) {
	without := func(missing string) func(string) bool {
		return func(file string) bool { return file != missing }
	}
	expect(t, checkTools(without(""), userOnDebian), OK, mkfs)
	for _, tool := range tools {
		got := checkTools(without(tool.file), userOnDebian)
		expect(t, got, Warn, "missing: "+tool.file)
		if !strings.Contains(got.Do, tool.pkg) {
			t.Errorf("%s: the package %s is not named: %s", tool.file, tool.pkg, got.Do)
		}
	}
	if got := checkTools(without(mkfs), rootOnDebian); !strings.Contains(got.Do, "first build as root installs") {
		t.Errorf("root is not told that the build installs it: %s", got.Do)
	}
}

func TestCommandPath(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	root := tree(t, map[string]string{"usr/sbin/" + mkfs: "", "usr/include/libqcow.h": ""})
	for name, want := range map[string]string{
		mkfs: "/usr/sbin/" + mkfs, "/usr/include/libqcow.h": "/usr/include/libqcow.h", "mmdebstrap": "", "/usr/include/none.h": "",
	} {
		got := commandPath(root, name)
		if want != "" {
			want = filepath.Join(root, want)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
