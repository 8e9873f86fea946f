package controlplane

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// script is a program that does what the text says.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	NewWithT(t).Expect(os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700)).To(Succeed())
	return path
}

func TestStartSaysWhyItFailed(t *testing.T) {
	const waits = "exec sleep 1000"
	for name, test := range map[string]struct {
		programs Programs
		says     []string
	}{
		"no etcd":          {Programs{Etcd: "/nowhere", Kubernetes: script(t, waits)}, []string{"start etcd", "/nowhere"}},
		"etcd ends":        {Programs{Etcd: script(t, "echo no disk; exit 3"), Kubernetes: script(t, waits)}, []string{"etcd has ended", "exit status 3", "no disk"}},
		"API server ends":  {Programs{Etcd: script(t, waits), Kubernetes: script(t, "echo bad flag $1 >&2; exit 1")}, []string{"kube-apiserver has ended", "bad flag --etcd-servers=http://127.0.0.1:"}},
		"API server waits": {Programs{Etcd: script(t, waits), Kubernetes: script(t, waits)}, []string{"deadline"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
			defer stop()
			server, err := Start(ctx, t.TempDir(), test.programs)
			g.Expect(err).To(HaveOccurred())
			for _, text := range test.says {
				g.Expect(err.Error()).To(ContainSubstring(text))
			}
			for _, pid := range server.PIDs() {
				g.Expect(errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)).To(BeTrue(), "process %d is left", pid)
			}
			g.Expect(server.Close()).To(Succeed(), "a second time")
		})
	}
}
