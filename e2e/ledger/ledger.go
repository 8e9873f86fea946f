// Package ledger writes to the API server through an outage and then looks for
// every write that was acknowledged: etcd promises that none is lost, and a disk
// that drops what was not synced puts the promise to the test.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"blackout/e2e/history"
	"blackout/e2e/scenario"
	"blackout/e2e/workspace"
)

const (
	// writers write at the same time, so that one slow answer does not leave the
	// moment of the cut without a write.
	writers = 2
	// pace of each writer: enough writes in the last seconds before a cut, and no
	// load to speak of.
	pace = 100 * time.Millisecond
	// callTimeout is short: an answer that is lost with its server never comes.
	callTimeout = 5 * time.Second

	labelWriter = "blackout.ledger-writer"
	pageSize    = 500
	subject     = "api-server"
)

// Sink takes what was found, in order.
type Sink interface {
	Event(event history.Event) error
}

// Ledger is a namespace of its own, with a ConfigMap for each write.
type Ledger struct {
	Namespace string
	config    *rest.Config
	sink      Sink
	poll      time.Duration
	stop      context.CancelFunc
	ended     chan error
}

// New makes nothing yet. The run's id makes the namespace unique.
func New(config *rest.Config, run string, sink Sink, t scenario.Timeouts) *Ledger {
	return &Ledger{Namespace: "blackout-ledger-" + run, config: config, sink: sink, poll: t.Poll}
}

// client makes new connections: those from before a cut are dead, but not always
// known to be.
func (l *Ledger) client() (*kubernetes.Clientset, error) {
	config := rest.CopyConfig(l.config)
	config.Timeout, config.QPS = callTimeout, -1
	// Not client-go's own transport: that one is shared and keeps connections.
	config.Dial = (&net.Dialer{Timeout: callTimeout}).DialContext
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client for the ledger: %w", err)
	}
	return client, nil
}

// Begin makes the namespace and starts to write. Call End, and Remove if the
// cluster stays.
func (l *Ledger) Begin(ctx context.Context) error {
	client, err := l.client()
	if err != nil {
		return err
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: l.Namespace, Labels: map[string]string{workspace.LabelManaged: "true"}}}
	if _, err := client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("make the ledger's namespace: %w", err)
	}
	writing, stop := context.WithCancel(ctx)
	l.stop, l.ended = stop, make(chan error, writers)
	for i := range writers {
		go func() { l.ended <- l.write(ctx, writing, i) }()
	}
	return nil
}

// End stops the writers, which look for what they wrote last.
func (l *Ledger) End() error {
	if l.stop == nil {
		return nil
	}
	l.stop()
	var all []error
	for range writers {
		all = append(all, <-l.ended)
	}
	l.stop = nil
	return errors.Join(all...)
}

// Remove removes the namespace from a cluster that outlives the run; one that is
// gone is no error. It waits for an API server that is on its way back.
func (l *Ledger) Remove(ctx context.Context) error {
	var last error
	err := wait.PollUntilContextCancel(ctx, l.poll, true, func(ctx context.Context) (bool, error) {
		client, err := l.client()
		if err != nil {
			return false, err
		}
		last = client.CoreV1().Namespaces().Delete(ctx, l.Namespace, metav1.DeleteOptions{})
		return last == nil || apierrors.IsNotFound(last), nil
	})
	if err != nil {
		return fmt.Errorf("remove the ledger's namespace %s: %w: %w; delete it by hand", l.Namespace, err, last)
	}
	return nil
}

// write writes until writing ends. When a write fails it first looks for all that
// was acknowledged, before a later write could cover a loss, and goes on.
func (l *Ledger) write(ctx, writing context.Context, number int) error {
	client, err := l.client()
	if err != nil {
		return err
	}
	var acknowledged []string
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for count := 0; ; count++ {
		select {
		case <-writing.Done():
			return l.look(ctx, number, acknowledged)
		case <-ticker.C:
		}
		name := fmt.Sprintf("w%d-%07d", number, count)
		object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{labelWriter: strconv.Itoa(number)}}}
		if _, err := client.CoreV1().ConfigMaps(l.Namespace).Create(writing, object, metav1.CreateOptions{}); err == nil {
			acknowledged = append(acknowledged, name)
			continue
		}
		if writing.Err() == nil {
			if err := l.look(ctx, number, acknowledged); err != nil {
				return err
			}
			acknowledged = nil
			if client, err = l.client(); err != nil {
				return err
			}
		}
	}
}

// look waits until the API server answers, looks for every acknowledged write,
// records how many there are, and removes them.
func (l *Ledger) look(ctx context.Context, number int, acknowledged []string) error {
	if len(acknowledged) == 0 {
		return nil
	}
	var found map[string]bool
	if err := wait.PollUntilContextCancel(ctx, l.poll, true, func(ctx context.Context) (bool, error) {
		var err error
		found, err = l.list(ctx, number)
		return err == nil, nil // without power nobody answers
	}); err != nil {
		return fmt.Errorf("look for %d acknowledged writes: %w", len(acknowledged), context.Cause(ctx))
	}
	lost := slices.DeleteFunc(slices.Clone(acknowledged), func(name string) bool { return found[name] })
	fields := map[string]string{history.FieldAcknowledged: strconv.Itoa(len(acknowledged)), history.FieldLost: strconv.Itoa(len(lost))}
	if len(lost) > 0 {
		fields[history.FieldFirst] = lost[0]
	}
	if err := l.sink.Event(history.Event{Time: time.Now(), Kind: history.LedgerChecked, Subject: subject, Fields: fields}); err != nil {
		return fmt.Errorf("record what became of acknowledged writes: %w", err)
	}
	return l.clear(ctx, number)
}

func (l *Ledger) list(ctx context.Context, number int) (map[string]bool, error) {
	client, err := l.client()
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	options := metav1.ListOptions{LabelSelector: selector(number), Limit: pageSize}
	for {
		page, err := client.CoreV1().ConfigMaps(l.Namespace).List(ctx, options)
		if err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			found[item.Name] = true
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return found, nil
		}
	}
}

// clear keeps etcd small. What could not be removed only makes the next list
// longer.
func (l *Ledger) clear(ctx context.Context, number int) error {
	client, err := l.client()
	if err != nil {
		return err
	}
	_ = client.CoreV1().ConfigMaps(l.Namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: selector(number)})
	return nil
}

func selector(number int) string { return labelWriter + "=" + strconv.Itoa(number) }
