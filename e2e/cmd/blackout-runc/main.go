// Blackout-runc is an OCI runtime: runc, asked only for capabilities that can be
// had. On a host whose bounding set lacks some (a sandbox), "--privileged"
// containers ask runc for all of them and fail with "unable to apply caps".
// It takes the missing ones out of the bundle's config.json (create, run) and
// out of the --process file (exec), and hands over to runc.
// See the OCI runtime specification, "process.capabilities".
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"blackout/e2e/engine"
)

const exitRuntime = 1

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "blackout-runc:", err)
		os.Exit(exitRuntime)
	}
}

// run returns only on an error: else runc has taken this process over.
func run(args []string) error {
	missing := engine.MissingCapabilities()
	for path, at := range specFiles(args) {
		if err := dropCapabilities(path, at, missing); err != nil {
			return err
		}
	}
	runc, err := exec.LookPath("runc")
	if err != nil {
		return fmt.Errorf("find runc: %w; install it", err)
	}
	return fmt.Errorf("start runc: %w", syscall.Exec(runc, append([]string{"runc"}, args...), os.Environ()))
}

// specFiles maps each JSON file that a runc command line names to the keys that
// lead to its process object.
func specFiles(args []string) map[string][]string {
	_, rest := options(args)
	if len(rest) == 0 {
		return nil
	}
	given, _ := options(rest[1:])
	switch rest[0] {
	case "create", "run":
		// Without --bundle runc takes the working directory.
		return map[string][]string{filepath.Join(given["bundle"]+given["b"], "config.json"): {"process"}}
	case "exec":
		if path := given["process"] + given["p"]; path != "" {
			return map[string][]string{path: nil}
		}
	}
	return nil
}

// switches are runc's options without a value. Every other option takes the
// next argument unless it has a "=".
var switches = []string{
	"debug", "systemd-cgroup", "help", "h", "version", "v",
	"no-pivot", "no-new-keyring", "detach", "d", "keep", "no-subreaper",
	"tty", "t", "no-new-privs", "ignore-paused",
}

// options reads options as runc does, with one dash or two, up to the first
// argument that is none: a verb, or a container's id. What follows that is
// returned with it, and may well look like an option or a verb.
func options(args []string) (given map[string]string, rest []string) {
	given = map[string]string{}
	for len(args) > 0 && strings.HasPrefix(args[0], "-") && args[0] != "-" {
		name := strings.TrimPrefix(strings.TrimPrefix(args[0], "-"), "-")
		args = args[1:]
		if name == "" { // "--" ends the options
			break
		}
		name, value, inline := strings.Cut(name, "=")
		if !inline && !slices.Contains(switches, name) && len(args) > 0 {
			value, args = args[0], args[1:]
		}
		given[name] = value
	}
	return given, args
}

// dropCapabilities rewrites the file without the given capabilities and keeps
// everything else in it.
func dropCapabilities(path string, at, missing []string) error {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // runc says it better
	}
	if err != nil {
		return fmt.Errorf("read the container's specification: %w", err)
	}
	var spec map[string]any
	// Numbers stay as they are written: a resource limit may be 2^64-1.
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&spec); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	process := spec
	for _, key := range at {
		next, ok := process[key].(map[string]any)
		if !ok {
			return nil
		}
		process = next
	}
	sets, ok := process["capabilities"].(map[string]any)
	if !ok {
		return nil
	}
	for set, value := range sets {
		names, ok := value.([]any)
		if !ok {
			continue
		}
		sets[set] = slices.DeleteFunc(names, func(name any) bool {
			s, ok := name.(string)
			return ok && slices.Contains(missing, s)
		})
	}
	out, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.WriteFile(path, out, info.Mode().Perm()); err != nil {
		return fmt.Errorf("write the container's specification: %w", err)
	}
	return nil
}
