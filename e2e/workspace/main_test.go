package workspace

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// envRole makes the test binary play another process.
const envRole = "BLACKOUT_TEST_ROLE"

func TestMain(m *testing.M) {
	switch role, argument, _ := strings.Cut(os.Getenv(envRole), ":"); role {
	case "":
		os.Exit(m.Run())
	case "hold": // the lock of the workspace at argument
		if _, err := (Workspace{Root: argument}).Lock("test", false); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("ready")
		time.Sleep(time.Minute)
	case "sleep":
		fmt.Println("ready")
		time.Sleep(time.Minute)
	case "list": // what this process, marked itself, sees of the workspace
		found, err := Workspace{Root: argument}.Marked()
		fmt.Println("ready", os.Getpid(), os.Getppid(), found, err)
	case "parent": // a marked process that starts "list"
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), envRole+"=list:"+argument)
		cmd.Stdout = os.Stdout
		if err := cmd.Run(); err != nil {
			os.Exit(1)
		}
	}
}

// play starts the test binary in a role and returns once it has said its first
// line. It ends with the test at the latest.
func play(t *testing.T, role string, env ...string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), envRole+"="+role), env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "ready") {
		t.Fatalf("the process in role %q said %q, %v", role, line, err)
	}
	return cmd, line
}

// opened is a workspace of this test alone.
func opened(t *testing.T) Workspace {
	t.Helper()
	t.Setenv(EnvRoot, t.TempDir())
	w, err := Open()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return w
}
