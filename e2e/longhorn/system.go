package longhorn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/e2e-framework/klient/k8s"
	"sigs.k8s.io/e2e-framework/klient/k8s/resources"
	"sigs.k8s.io/e2e-framework/klient/wait"

	"blackout/e2e/cluster"
	"blackout/e2e/scenario"
)

// fieldOwner names the harness in server-side apply.
const fieldOwner = "blackout"

// Progress takes one line about what is going on; nil is allowed.
type Progress func(format string, args ...any)

// System is Longhorn in one cluster. Its methods may be called at the same time.
type System struct {
	cluster  cluster.Cluster
	release  Release
	features features
	timeouts scenario.Timeouts
	progress Progress
	config   *rest.Config
	api      *resources.Resources // its namespace is set once, and is Namespace
	absent   map[string]bool      // nodes that nothing is expected of
}

// Without is the same System that expects nothing of some nodes, which have no
// power and will have none.
func (s *System) Without(nodes ...string) *System {
	left := *s
	left.absent = maps.Clone(s.absent)
	if left.absent == nil {
		left.absent = map[string]bool{}
	}
	for _, node := range nodes {
		left.absent[node] = true
	}
	return &left
}

// Open makes a System without talking to the cluster. Open a new one after a
// blackout rather than wait for dead connections to be noticed.
func Open(c cluster.Cluster, r Release, t scenario.Timeouts, progress Progress) (*System, error) {
	f, err := featuresOf(r.Version)
	if err != nil {
		return nil, err
	}
	if progress == nil {
		progress = func(string, ...any) {}
	}
	config := rest.CopyConfig(c.Client().RESTConfig())
	config.Timeout = t.APICall
	config.QPS = -1 // the API server limits by itself; a limit here would hide its pace
	config.WarningHandler = rest.NoWarnings{}
	// Client().Resources(namespace) writes the namespace into an object that all
	// its callers share, so a System has its own.
	api, err := resources.New(config)
	if err != nil {
		return nil, fmt.Errorf("make a client for cluster %s: %w; check that its API server answers", c.Name(), err)
	}
	return &System{
		cluster: c, release: r, features: f, timeouts: t, progress: progress,
		config: config, api: api.WithNamespace(Namespace),
	}, nil
}

// API reads and writes in Longhorn's namespace: lists are limited to it. Do not
// call WithNamespace on it.
func (s *System) API() *resources.Resources { return s.api }

// until looks again and again until nothing is missing. What look returns as
// missing is the reason in the error when the time is over. An error of look
// that may pass by itself counts as missing, any other one ends the wait.
func (s *System) until(ctx context.Context, limit time.Duration, what string, look func(context.Context) (missing string, err error)) error {
	missing := "nothing was seen yet"
	err := wait.For(func(ctx context.Context) (bool, error) {
		now, err := look(ctx)
		if ctx.Err() != nil { // the call was cut off; the last full look says more
			return false, nil //nolint:nilerr // the wait itself says that it is over
		}
		if err != nil {
			if !Transient(err) {
				return false, err
			}
			now = err.Error()
		}
		if now != "" && now != missing {
			s.progress("waiting for %s: %s", what, now)
		}
		missing = now
		return missing == "", nil
	}, wait.WithContext(ctx), wait.WithTimeout(limit), wait.WithInterval(s.timeouts.Poll), wait.WithImmediate())
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("wait for %s: %w while %s", what, context.Cause(ctx), missing)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("wait for %s: still not after %s: %s: %w", what, limit, missing, err)
	default:
		return fmt.Errorf("wait for %s: %w", what, err)
	}
}

// Transient tells whether a call may succeed when it is made again unchanged:
// the API server, its etcd or Longhorn's webhook is not up yet or is overloaded.
func Transient(err error) bool {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		switch code := status.Status().Code; code {
		case http.StatusConflict:
			return apierrors.IsConflict(err) // and not: already exists
		case http.StatusTooManyRequests, http.StatusRequestTimeout:
			return true
		default:
			return code >= http.StatusInternalServerError
		}
	}
	var discovery *apiutil.ErrResourceDiscoveryFailed
	var network net.Error
	var call *url.Error
	return meta.IsNoMatchError(err) || errors.As(err, &discovery) || errors.As(err, &network) || errors.As(err, &call) ||
		utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err) ||
		utilnet.IsHTTP2ConnectionLost(err)
}

// apply creates an object or brings an existing one in line, field by field
// (server-side apply): what others have set in it stays.
func (s *System) apply(ctx context.Context, object *unstructured.Unstructured) error {
	what := fmt.Sprintf("%s %s to be applied", object.GetKind(), object.GetName())
	data, err := json.Marshal(object.Object)
	if err != nil {
		return fmt.Errorf("encode %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	force := true
	return s.until(ctx, s.timeouts.APICall, what, func(ctx context.Context) (string, error) {
		return "", s.api.Patch(ctx, object.DeepCopy(), k8s.Patch{PatchType: types.ApplyPatchType, Data: data},
			func(o *metav1.PatchOptions) { o.FieldManager, o.Force = fieldOwner, &force })
	})
}

// create makes a new object, again and again while the failure may pass. When
// an attempt that seemed to fail did get through, that is success.
func (s *System) create(ctx context.Context, what string, object k8s.Object) error {
	tried := false
	return s.until(ctx, s.timeouts.APICall, what+" to be created", func(ctx context.Context) (string, error) {
		err := s.api.Create(ctx, object)
		if tried && apierrors.IsAlreadyExists(err) {
			return "", nil
		}
		tried = true
		return "", err
	})
}

// mergePatchOnce changes the named fields of an existing object. See the comment
// at the top of types.go for why there is no Update.
func (s *System) mergePatchOnce(ctx context.Context, object k8s.Object, change any) error {
	data, err := json.Marshal(change)
	if err != nil {
		return fmt.Errorf("encode a change of %s: %w", object.GetName(), err)
	}
	return s.api.Patch(ctx, object, k8s.Patch{PatchType: types.MergePatchType, Data: data})
}

// named is the metadata of an object in Longhorn's namespace.
func named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: Namespace}
}

// eligible lists the names of the nodes that Longhorn runs on: the workers, or
// every node of a cluster that has none.
func (s *System) eligible(ctx context.Context) (names []string, controlPlaneToo bool, err error) {
	nodes, err := s.cluster.Nodes(ctx)
	if err != nil {
		return nil, false, fmt.Errorf("list the nodes of %s: %w", s.cluster.Name(), err)
	}
	names, controlPlaneToo = eligibleOf(nodes)
	names = slices.DeleteFunc(names, func(name string) bool { return s.absent[name] })
	if len(names) == 0 {
		return nil, false, fmt.Errorf("cluster %s has no nodes that Longhorn could run on; create it again", s.cluster.Name())
	}
	return names, controlPlaneToo, nil
}

func eligibleOf(nodes []cluster.Node) (names []string, controlPlaneToo bool) {
	for _, node := range nodes {
		if node.Role == cluster.Worker {
			names = append(names, node.Name)
		}
	}
	if len(names) > 0 {
		return names, false
	}
	for _, node := range nodes {
		names = append(names, node.Name)
	}
	return names, true
}
