package longhorn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/e2e-framework/klient/k8s/resources"
)

// StoreClient reads and writes the store's bucket from outside of the cluster, all
// calls through one tunnel: after a blackout open a new one. Its methods may be
// called at the same time, and each call is bounded by Timeouts.APICall.
type StoreClient struct {
	client *minio.Client
	tunnel *Tunnel
	limit  time.Duration
}

// Open makes a tunnel to the store.
func (o *ObjectStore) Open(ctx context.Context) (*StoreClient, error) {
	ctx, cancel := context.WithTimeout(ctx, o.system.timeouts.APICall)
	defer cancel()
	_, pod, err := o.pod(ctx, isReady)
	if err != nil {
		return nil, err
	}
	tunnel, err := Forward(ctx, o.system.config, StoreNamespace, pod.Name, storePort)
	if err != nil {
		return nil, err
	}
	client, err := storeClient(tunnel.Addr, o.accessKey, o.secretKey)
	if err != nil {
		tunnel.Close()
		return nil, err
	}
	return &StoreClient{client: client, tunnel: tunnel, limit: o.system.timeouts.APICall}, nil
}

// pod finds the store's pod, and a client for its namespace: s.api lists in
// Longhorn's.
func (o *ObjectStore) pod(ctx context.Context, usable func(*corev1.Pod) bool) (*resources.Resources, *corev1.Pod, error) {
	api, err := resources.New(o.system.config)
	if err != nil {
		return nil, nil, fmt.Errorf("make a client: %w", err)
	}
	var pods corev1.PodList
	if err := api.WithNamespace(StoreNamespace).List(ctx, &pods, resources.WithLabelSelector(labelApp+"="+StoreNamespace)); err != nil {
		return nil, nil, fmt.Errorf("list the object store's pods: %w", err)
	}
	at := slices.IndexFunc(pods.Items, func(pod corev1.Pod) bool { return pod.DeletionTimestamp == nil && usable(&pod) })
	if at < 0 {
		return nil, nil, errors.New("the object store has no ready pod; wait for it or install it again")
	}
	return api, &pods.Items[at], nil
}

func storeClient(addr, accessKey, secretKey string) (*minio.Client, error) {
	return minio.New(addr, &minio.Options{
		Creds:        credentials.NewStaticV4(accessKey, secretKey, ""),
		Region:       storeRegion,
		BucketLookup: minio.BucketLookupPath,
		MaxRetries:   1, // callers poll
	})
}

// Close ends the tunnel.
func (c *StoreClient) Close() { c.tunnel.Close() }

// URL is the backup target that the bucket is.
func (c *StoreClient) URL() string { return TargetURL() }

// Get returns an object, or an error that wraps fs.ErrNotExist.
func (c *StoreClient) Get(ctx context.Context, key string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	object, err := c.client.GetObject(ctx, Bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return nil, notThere(err)
	}
	defer func() { _ = object.Close() }()
	data, err := io.ReadAll(object)
	return data, notThere(err)
}

// Put writes an object, or replaces it.
func (c *StoreClient) Put(ctx context.Context, key string, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	_, err := c.client.PutObject(ctx, Bucket, key, bytes.NewReader(data), int64(len(data)), minio.PutObjectOptions{DisableMultipart: true})
	return err
}

// List returns the keys that begin with prefix.
func (c *StoreClient) List(ctx context.Context, prefix string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	var keys []string
	for entry := range c.client.ListObjects(ctx, Bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if entry.Err != nil {
			return nil, entry.Err
		}
		keys = append(keys, entry.Key)
	}
	return keys, nil
}

// Delete removes an object; one that is not there is no error.
func (c *StoreClient) Delete(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	return c.client.RemoveObject(ctx, Bucket, key, minio.RemoveObjectOptions{})
}

// notThere makes the store's way to say that an object does not exist Go's.
func notThere(err error) error {
	if err != nil && minio.ToErrorResponse(err).Code == minio.NoSuchKey {
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return err
}
