package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// What the clients really print.
const (
	dockerDenied = "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: " +
		`Get "http://%2Fvar%2Frun%2Fdocker.sock/v1.24/version": dial unix /var/run/docker.sock: connect: permission denied`
	dockerDown = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
)

// fakeEngines makes PATH hold nothing but the given fake clients: shell scripts
// that stand in for docker or podman. This tests no real engine.
func fakeEngines(t *testing.T, scripts map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, script := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
}

func fails(message string) string { return "echo '" + message + "' >&2\nexit 1" }

func TestDetectWithFakeClients(t *testing.T) {
	const answers = `[ "$*" = "version --format {{.Server.Version}}" ] && echo 20.10.24`
	for name, test := range map[string]struct {
		clients map[string]string
		want    Engine
		err     error
		says    string
	}{
		"docker answers":   {clients: map[string]string{"docker": answers}, want: Engine{Name: "docker", Version: "20.10.24"}},
		"docker is first":  {clients: map[string]string{"docker": answers, "podman": answers}, want: Engine{Name: "docker", Version: "20.10.24"}},
		"only podman":      {clients: map[string]string{"podman": answers}, want: Engine{Name: "podman", Version: "20.10.24"}},
		"podman in place":  {clients: map[string]string{"docker": fails(dockerDown), "podman": answers}, want: Engine{Name: "podman", Version: "20.10.24"}},
		"podman, no field": {clients: map[string]string{"podman": `[ "$3" = "{{.Version}}" ] && echo 4.3.1; true`}, want: Engine{Name: "podman", Version: "4.3.1"}},
		"none":             {err: ErrNone, says: "docker"},
		"docker denies":    {clients: map[string]string{"docker": fails(dockerDenied)}, err: ErrPermission, says: "docker group"},
		"docker is down":   {clients: map[string]string{"docker": fails(dockerDown)}, err: ErrNotRunning, says: "make engine"},
		"both fail":        {clients: map[string]string{"docker": fails(dockerDown), "podman": fails("Error: permission denied")}, err: ErrPermission, says: dockerDown},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			fakeEngines(t, test.clients)
			e, err := Detect(t.Context())
			if test.err != nil {
				g.Expect(err).To(MatchError(test.err))
				g.Expect(err).To(MatchError(ContainSubstring(test.says)))
				g.Expect(e).To(BeNil())
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(*e).To(Equal(test.want))
		})
	}
}

func TestClassify(t *testing.T) {
	for message, want := range map[string]error{
		dockerDenied: ErrPermission,
		"Got permission denied while trying to connect":          ErrPermission,
		"Error: open /run/podman/podman.sock: Permission denied": ErrPermission,
		dockerDown:             ErrNotRunning,
		"context deadline met": ErrNotRunning,
		"":                     ErrNotRunning,
	} {
		g := NewWithT(t)
		err := classify("docker", errors.New("docker version: exit status 1: first line\n"+message))
		g.Expect(err).To(MatchError(want), message)
		for _, other := range []error{ErrPermission, ErrNotRunning, ErrNone} {
			g.Expect(errors.Is(err, other)).To(Equal(other == want), message) //nolint:errorlint // the very value
		}
		if message != "" {
			g.Expect(err.Error()).To(ContainSubstring(strings.ReplaceAll(message, `"`, `\"`)))
			g.Expect(err.Error()).NotTo(ContainSubstring("first line"), "the cause is the last line")
		}
	}
}

// Empty fields at the ends of a line are fields: "docker network ls" with the
// labels of a foreign network ends in tabs.
func TestLinesKeepTheirEnds(t *testing.T) {
	g := NewWithT(t)
	fakeEngines(t, map[string]string{"docker": `printf '\tname\ttrue\t\nid\tname\t\t\n'`})
	g.Expect((&Engine{Name: "docker"}).Lines(t.Context(), "network", "ls")).To(Equal([]string{"\tname\ttrue\t", "id\tname\t\t"}))
	fakeEngines(t, map[string]string{"docker": "echo"})
	g.Expect((&Engine{Name: "docker"}).Lines(t.Context(), "ps")).To(BeEmpty(), "an empty list is no line")
}

func TestRunAndPipe(t *testing.T) {
	g := NewWithT(t)
	fakeEngines(t, map[string]string{"docker": `read -r line && echo "  $1 got $line"`})
	e := &Engine{Name: "docker"}
	g.Expect(e.Pipe(t.Context(), strings.NewReader("input\n"), "load")).To(Equal("load got input"))

	fakeEngines(t, map[string]string{"docker": "echo out; " + fails("no such container")})
	out, err := e.Run(t.Context(), "rm", "x")
	g.Expect(err).To(MatchError("docker rm x: exit status 1: no such container"))
	g.Expect(out).To(BeEmpty())

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = e.Run(ctx, "ps")
	g.Expect(err).To(MatchError(context.Canceled))
}

func TestHasImage(t *testing.T) {
	g := NewWithT(t)
	e := &Engine{Name: "docker"}
	fakeEngines(t, map[string]string{"docker": `[ "$*" = "images --quiet --filter reference=here:1" ] && echo 0123; true`})
	g.Expect(e.HasImage(t.Context(), "here:1")).To(BeTrue())
	g.Expect(e.HasImage(t.Context(), "gone:1")).To(BeFalse())
	// An engine that does not answer knows nothing of images.
	fakeEngines(t, map[string]string{"docker": fails(dockerDown)})
	_, err := e.HasImage(t.Context(), "here:1")
	g.Expect(err).To(MatchError(ContainSubstring(dockerDown)))
}
