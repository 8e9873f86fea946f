package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"blackout/e2e/cluster"
	"blackout/e2e/history"
)

// Parts of the census: the subjects of its gaps.
const (
	BackupsPart     = "backups"
	AttachmentsPart = "attachments"
	VolumesPart     = "volumes"
	NodesPart       = "nodes"
	PodsPart        = "pods"
)

// CensusOptions tune the census.
type CensusOptions struct {
	// PartTimeout bounds the silence of each list: how long no byte of it comes.
	// It does not bound the list: 100,000 backups take minutes on a busy machine.
	PartTimeout time.Duration
	// LookLimit bounds a whole look. An answer that goes on dripping ends with it.
	LookLimit time.Duration
	// MaxShare of the time may be spent on lists of backups and of attachments,
	// which grow with the backlog. When they take longer, they are made less
	// often than the census itself; that is no gap.
	MaxShare float64
	// BackupSelector limits the backups that are counted; empty: all of them.
	BackupSelector string
	// JobSelector limits the backups among which those of recurring jobs are counted,
	// apart from the others; empty: they are not.
	JobSelector string
	// TopMessages is how many of the backups' messages are followed.
	TopMessages int
}

// DefaultCensusOptions fit a census every 5 s.
func DefaultCensusOptions() CensusOptions {
	return CensusOptions{PartTimeout: 15 * time.Second, LookLimit: 5 * time.Minute, MaxShare: 0.1, TopMessages: 5}
}

// Census counts objects. It lists them anew each time: a watch would be cheaper
// for backups, but one that has silently died goes on showing what was, and
// during a storm every change of a VolumeAttachment would send all of its
// hundreds of tickets. It lists from the API server's watch cache: at the
// incident's size (4,422 backups, 8 MB) that costs the API server 0.6 s of CPU and
// this process 0.2 s; read from etcd, in pages or whole, it costs 2.2 s. A Table
// would cost 0.07 s, but shows neither ages nor deletions nor messages.
//
// The watch cache takes no notice of a limit: the whole list comes in one answer,
// which is read as a stream, one object at a time. So what this process holds does
// not grow with the backlog (46, 53 and 50 MiB at 1,000, 4,000 and 10,000 backups,
// make bench), and the API server writes it as a stream too (1.33). What grows is
// the time of a look: MaxShare makes looks rarer. A list that is silent for PartTimeout
// is a gap, and so is one that is not whole after LookLimit.
type Census struct {
	*link
	options  CensusOptions
	emit     func(history.Event) error
	pace     map[string]*pace
	messages *messages
	ooms     ooms
}

// NewCensus makes the probe; emit takes the backups' messages.
func NewCensus(c cluster.Cluster, emit func(history.Event) error, options CensusOptions) (*Census, error) {
	l, err := newLink(c.Client().RESTConfig())
	if err != nil {
		return nil, err
	}
	return newCensus(l, emit, options)
}

func newCensus(l *link, emit func(history.Event) error, options CensusOptions) (*Census, error) {
	if options.MaxShare <= 0 || options.MaxShare > 1 {
		return nil, fmt.Errorf("the census may take a share of the time above 0 and at most 1, not %v", options.MaxShare)
	}
	return &Census{
		link: l, options: options, emit: emit, messages: newMessages(options.TopMessages), ooms: ooms{},
		pace: map[string]*pace{BackupsPart: {}, AttachmentsPart: {}},
	}, nil
}

// pace keeps a list that has become slow from taking more than its share.
type pace struct {
	next time.Time
}

func (p *pace) due(now time.Time) bool { return p == nil || !now.Before(p.next) }

func (p *pace) took(began time.Time, cost time.Duration, share float64) {
	if p != nil {
		p.next = began.Add(time.Duration(float64(cost) / share))
	}
}

// Name implements Probe.
func (c *Census) Name() string { return CensusName }

// part is one list of the census.
type part struct {
	name  string
	count func(context.Context, *connection, time.Time) ([]history.Sample, error)
}

// Sample implements Probe.
func (c *Census) Sample(ctx context.Context) ([]history.Sample, error) {
	connection := c.get()
	all := []part{
		{BackupsPart, c.backups},
		{AttachmentsPart, c.attachments},
		{VolumesPart, c.volumes},
		{NodesPart, c.nodes},
		{PodsPart, c.pods},
	}
	var got harvest
	each(ctx, c.options.LookLimit, all, func(ctx context.Context, p part) {
		ctx, stop := untilSilent(ctx, c.options.PartTimeout)
		defer stop()
		began := time.Now()
		if !c.pace[p.name].due(began) {
			return
		}
		// Time is when the question was asked: the answer is not older.
		samples, err := p.count(ctx, connection, began)
		if err != nil { // tried again at the next look: it is being waited for
			got.miss(p.name, because(ctx, err))
			return
		}
		c.pace[p.name].took(began, time.Since(began), c.options.MaxShare)
		got.add(samples...)
	})
	samples, err := got.result()
	if len(got.errs) == len(all) {
		return nil, fmt.Errorf("nothing could be listed: %s", got.errs[0].Error())
	}
	return samples, err
}

func census(at time.Time, series, subject string, value float64) history.Sample {
	return history.Sample{Time: at, Probe: CensusName, Series: series, Subject: subject, Value: value}
}

// clusterSubject is what the cluster as a whole is called in samples.
const clusterSubject = "cluster"

func (c *Census) attachments(ctx context.Context, from *connection, at time.Time) ([]history.Sample, error) {
	var tickets, largest int
	var bad error
	err := items(ctx, from, "volumeattachments", "", func(raw json.RawMessage) {
		var a struct {
			Spec struct {
				AttachmentTickets map[string]struct{} `json:"attachmentTickets"`
			} `json:"spec"`
		}
		if err := json.Unmarshal(raw, &a); err != nil && bad == nil {
			bad = fmt.Errorf("read a volumeattachment: %w", err)
		}
		tickets += len(a.Spec.AttachmentTickets)
		largest = max(largest, len(raw))
	})
	if err := errors.Join(err, bad); err != nil {
		return nil, err
	}
	return []history.Sample{
		census(at, history.AttachmentTickets, clusterSubject, float64(tickets)),
		census(at, history.LargestAttachment, clusterSubject, float64(largest)),
	}, nil
}

// robustness of a volume; others than these are counted too when they occur.
var robustness = []string{"healthy", "degraded", "faulted", unknownRobustness}

const unknownRobustness = "unknown"

func (c *Census) volumes(ctx context.Context, from *connection, at time.Time) ([]history.Sample, error) {
	type volume struct {
		Status struct {
			Robustness string `json:"robustness"`
		} `json:"status"`
	}
	counts := newTally(robustness)
	err := items(ctx, from, "volumes", "", func(v volume) {
		if v.Status.Robustness == "" {
			v.Status.Robustness = unknownRobustness
		}
		counts.add(v.Status.Robustness)
	})
	if err != nil {
		return nil, err
	}
	return counts.samples(at, history.Volumes), nil
}

// nodes counts the nodes that the control plane holds for Ready: for up to 40 s
// after a node's death it still does.
func (c *Census) nodes(ctx context.Context, from *connection, at time.Time) ([]history.Sample, error) {
	list, err := from.core.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: fromCache})
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	ready := 0
	for _, node := range list.Items {
		for _, condition := range node.Status.Conditions {
			if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
				ready++
			}
		}
	}
	return []history.Sample{census(at, history.NodesReady, clusterSubject, float64(ready))}, nil
}

func (c *Census) pods(ctx context.Context, from *connection, at time.Time) ([]history.Sample, error) {
	pods, err := from.listPods(ctx)
	if err != nil {
		return nil, err
	}
	return c.ooms.samples(pods, at), nil
}
