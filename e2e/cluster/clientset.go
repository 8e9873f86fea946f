package cluster

import (
	"fmt"
	"net/http"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Unpooled is a client whose every call uses a connection of its own and is
// bounded by limit: connections from before a cut are dead, but not always known
// to be. Client-go's own transport is shared and keeps them.
func Unpooled(config *rest.Config, limit time.Duration) (kubernetes.Interface, error) {
	tls, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, fmt.Errorf("read the certificates for the API server: %w", err)
	}
	proxy := config.Proxy
	if proxy == nil {
		proxy = http.ProxyFromEnvironment
	}
	transport, err := rest.HTTPWrappersForConfig(config, &http.Transport{TLSClientConfig: tls, DisableKeepAlives: true, Proxy: proxy})
	if err != nil {
		return nil, fmt.Errorf("read the credentials for the API server: %w", err)
	}
	client, err := kubernetes.NewForConfigAndClient(config, &http.Client{Transport: transport, Timeout: limit})
	if err != nil {
		return nil, fmt.Errorf("make a client for the API server: %w", err)
	}
	return client, nil
}
