package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"blackout/e2e/progress"
	"blackout/e2e/scenario"
	"blackout/e2e/workspace"
)

// envRole makes the test binary play another process of Blackout, in the
// workspace that workspace.EnvRoot names.
const envRole = "BLACKOUT_TEST_ROLE"

func TestMain(m *testing.M) {
	switch role := os.Getenv(envRole); role {
	case "":
		os.Exit(m.Run())
	case "halfway": // makes an entry, says so when half of it is there, and hangs
		b := openBuilder()
		_, err := b.once(context.Background(), wanted(b), func(ctx context.Context, step *progress.Step, tmp string) error {
			if err := makeBoth(tmp, "half"); err != nil {
				return err
			}
			// A tool of the build survives the build's own death.
			return b.tool(ctx, step, "", nil, "sh", "-c", `echo $$ >"$0/tool"; exec sleep 60`, filepath.Dir(tmp))
		})
		exit(err)
	case "concurrent": // makes an entry under the lock, and tells who made it
		b := openBuilder()
		release, err := b.lock(context.Background())
		if err != nil {
			exit(err)
		}
		_, err = b.once(context.Background(), wanted(b), func(_ context.Context, _ *progress.Step, tmp string) error {
			fmt.Println("made")
			time.Sleep(50 * time.Millisecond)
			return makeBoth(tmp, "whole")
		})
		release()
		exit(err)
	}
}

func exit(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// wanted is the entry of the tests that share it among processes.
func wanted(b *Builder) entry {
	return entry{dir: b.Workspace.Bin(), name: "thing", key: "0123", title: "make a thing"}
}

func makeBoth(tmp, content string) error {
	return errors.Join(os.Mkdir(tmp, 0o755), os.WriteFile(filepath.Join(tmp, "a"), []byte(content), 0o644))
}

func openBuilder() *Builder {
	w, err := workspace.Open()
	if err != nil {
		exit(err)
	}
	timeouts := scenario.Timeouts{RegistryProbe: time.Second, Poll: time.Millisecond, EngineStart: time.Second, CleanUp: time.Second}
	return &Builder{Workspace: w, Timeouts: timeouts, Progress: progress.New(&bytes.Buffer{})}
}

// newBuilder works in a workspace of this test alone, without an engine.
func newBuilder(t *testing.T) *Builder {
	t.Helper()
	t.Setenv(workspace.EnvRoot, t.TempDir())
	return openBuilder()
}

func played(role string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envRole+"="+role)
	return cmd
}

// write makes files below root; a name that ends in "*" is executable.
func write(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		mode := os.FileMode(plain)
		if name[len(name)-1] == '*' {
			name, mode = name[:len(name)-1], executable
		}
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), mode), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
}
