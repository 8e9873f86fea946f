package longhorn

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	// StoreNamespace is the object store's own; its objects share the name.
	StoreNamespace = "blackout-object-store"
	// Bucket holds the backups.
	Bucket = "backups"

	storeRegion = "us-east-1"
	storePort   = 7070

	// secretName is the Secret in Longhorn's namespace with what it needs to
	// reach the store; the keys are the ones that Longhorn reads.
	secretName  = "blackout-object-store"
	keyAccess   = "AWS_ACCESS_KEY_ID"
	keySecret   = "AWS_SECRET_ACCESS_KEY"
	keyEndpoint = "AWS_ENDPOINTS"
)

// ObjectStore is an S3 server in the cluster whose objects live and die with it.
type ObjectStore struct {
	system               *System
	accessKey, secretKey string
}

// Object is one object in the store.
type Object struct {
	Key      string
	Size     int64 // bytes
	Modified time.Time
}

// storeValues is what the templates below objectstore/ may use.
type storeValues struct {
	Name, Namespace, Image, Region, AccessKey, SecretKey, CPU string
	Port                                                      int
}

// InstallObjectStore runs versitygw from an image whose entrypoint it is
// and makes the bucket. Its credentials are random; a store that is already
// there keeps its own.
func (s *System) InstallObjectStore(ctx context.Context, image string) (*ObjectStore, error) {
	if image == "" {
		return nil, errors.New("install the object store: no image; build or name one with versitygw")
	}
	store, err := s.storeCredentials(ctx)
	if err != nil {
		return nil, err
	}
	objects, err := renderStore(image, store.accessKey, store.secretKey)
	if err != nil {
		return nil, err
	}
	for _, object := range objects {
		if err := s.apply(ctx, object); err != nil {
			return nil, err
		}
	}
	err = s.until(ctx, s.timeouts.BackupTargetAvailable, "the object store", func(ctx context.Context) (string, error) {
		var deployment appsv1.Deployment
		if err := s.api.Get(ctx, StoreNamespace, StoreNamespace, &deployment); err != nil {
			return "", fmt.Errorf("get the object store's Deployment: %w", err)
		}
		if missing := deploymentMissing(deployment); missing != "" {
			return missing, nil
		}
		if err := store.makeBucket(ctx); err != nil {
			return "its bucket could not be made: " + err.Error(), nil //nolint:nilerr // a reason to look again
		}
		return "", nil
	})
	if err != nil {
		return nil, fmt.Errorf("%w; see that every node has image %s", err, image)
	}
	s.progress("object store answers, bucket %s exists", Bucket)
	return store, nil
}

func renderStore(image, accessKey, secretKey string) ([]*unstructured.Unstructured, error) {
	return render("objectstore", storeValues{
		Name: StoreNamespace, Namespace: StoreNamespace, Image: image, Region: storeRegion,
		AccessKey: accessKey, SecretKey: secretKey, Port: storePort, CPU: storeCPU,
	}, map[string]string{LabelManaged: "true"})
}

// storeCredentials reads those of a store that exists, or draws new ones.
func (s *System) storeCredentials(ctx context.Context) (*ObjectStore, error) {
	store := &ObjectStore{system: s, accessKey: rand.Text(), secretKey: rand.Text()}
	err := s.until(ctx, s.timeouts.APICall, "the object store's credentials", func(ctx context.Context) (string, error) {
		var secret corev1.Secret
		err := s.api.Get(ctx, StoreNamespace, StoreNamespace, &secret)
		if apierrors.IsNotFound(err) {
			return "", nil
		}
		if err == nil {
			store.accessKey, store.secretKey = string(secret.Data[keyAccess]), string(secret.Data[keySecret])
		}
		return "", err
	})
	return store, err
}

func deploymentMissing(d appsv1.Deployment) string {
	switch {
	case d.Status.ObservedGeneration != d.Generation:
		return "its Deployment is not rolled out"
	case d.Status.UpdatedReplicas < 1 || d.Status.AvailableReplicas < 1 || d.Status.Replicas > d.Status.UpdatedReplicas:
		return "its pod is not ready"
	}
	return ""
}

// Objects lists what is really in the store, asked from outside of the cluster,
// in order of the keys.
func (o *ObjectStore) Objects(ctx context.Context) ([]Object, error) {
	var objects []Object
	err := o.ask(ctx, func(ctx context.Context, client *minio.Client) error {
		objects = nil
		for entry := range client.ListObjects(ctx, Bucket, minio.ListObjectsOptions{Recursive: true}) {
			if entry.Err != nil {
				return entry.Err
			}
			objects = append(objects, Object{Key: entry.Key, Size: entry.Size, Modified: entry.LastModified})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the objects in bucket %s: %w", Bucket, err)
	}
	slices.SortFunc(objects, func(a, b Object) int { return strings.Compare(a.Key, b.Key) })
	return objects, nil
}

func (o *ObjectStore) makeBucket(ctx context.Context) error {
	return o.ask(ctx, func(ctx context.Context, client *minio.Client) error {
		if exists, err := client.BucketExists(ctx, Bucket); err != nil || exists {
			return err
		}
		return client.MakeBucket(ctx, Bucket, minio.MakeBucketOptions{Region: storeRegion})
	})
}

// ask talks to the store through a tunnel of its own, so that nothing is left
// over from before a blackout.
func (o *ObjectStore) ask(ctx context.Context, talk func(context.Context, *minio.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, o.system.timeouts.APICall)
	defer cancel()
	c, err := o.Open(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return talk(ctx, c.client)
}
