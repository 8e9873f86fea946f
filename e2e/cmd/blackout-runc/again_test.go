package main

import (
	"os"
	"os/exec"
	"testing"
)

// again runs the calling test once more, in a process that may be replaced.
func again(t *testing.T, env ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
