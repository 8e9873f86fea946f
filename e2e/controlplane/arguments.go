package controlplane

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

const (
	loopback  = "127.0.0.1"
	apiServer = "kube-apiserver"
	// apiServerCertificate is what an API server calls the one that it signs itself.
	apiServerCertificate = "apiserver.crt"
)

// keys are the files that let a client in.
type keys struct {
	dir, token, tokens, serviceAccounts string
}

func writeKeys(dir string) (keys, error) {
	k := keys{
		dir: filepath.Join(dir, "keys"), token: rand.Text(),
		tokens: filepath.Join(dir, "tokens.csv"), serviceAccounts: filepath.Join(dir, "service-accounts.key"),
	}
	user := fmt.Sprintf("%s,blackout,blackout,\"system:masters\"\n", k.token)
	if err := os.WriteFile(k.tokens, []byte(user), fileMode); err != nil {
		return k, fmt.Errorf("write the token: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return k, fmt.Errorf("make a key for service accounts: %w", err)
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return k, fmt.Errorf("encode the key for service accounts: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw})
	if err := os.WriteFile(k.serviceAccounts, text, fileMode); err != nil {
		return k, fmt.Errorf("write the key for service accounts: %w", err)
	}
	return k, nil
}

// arguments of the API server. It makes its own certificate.
func (k keys) arguments(etcd, port string) []string {
	return []string{
		"--etcd-servers=" + etcd, "--bind-address=" + loopback, "--secure-port=" + port, "--cert-dir=" + k.dir,
		"--token-auth-file=" + k.tokens, "--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + k.serviceAccounts, "--service-account-signing-key-file=" + k.serviceAccounts,
		"--service-cluster-ip-range=10.96.0.0/16",
		"--endpoint-reconciler-type=none", // it refuses to tell others of a loopback address
	}
}

// etcdArguments: nothing of it is kept, so nothing is synced.
func etcdArguments(dir, clients, peers string) []string {
	const quota = "8589934592" // bytes; 100,000 backups, written twice, are 0.5 GB
	return []string{
		"--name=only", "--data-dir=" + filepath.Join(dir, "etcd-data"), "--unsafe-no-fsync", "--quota-backend-bytes=" + quota,
		"--listen-client-urls=" + clients, "--advertise-client-urls=" + clients,
		"--listen-peer-urls=" + peers, "--initial-advertise-peer-urls=" + peers, "--initial-cluster=only=" + peers,
	}
}

// freePorts of the loopback. Somebody else may take one before it is used: then
// the process that wanted it says so and ends.
func freePorts(ctx context.Context, n int) (ports []string, err error) {
	var listeners []net.Listener // closed at the end, so that the ports differ
	defer func() {
		for _, l := range listeners {
			_ = l.Close()
		}
	}()
	for range n {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(loopback, "0"))
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		listeners = append(listeners, l)
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		ports = append(ports, port)
	}
	return ports, nil
}
