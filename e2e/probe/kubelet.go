package probe

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"blackout/e2e/cluster"
	"blackout/e2e/history"
)

const (
	// maxStatsAge is how old a kubelet's numbers may be; it measures about every
	// 10 s.
	maxStatsAge = time.Minute
	// lifeSlack is by how much a kubelet and the API server may differ on when a
	// container started, on a loaded node.
	lifeSlack = 15 * time.Second
	// maxAhead is what a node's clock may be ahead of this machine's.
	maxAhead = 5 * time.Second
)

// Kubelet samples the memory of every manager's and instance manager's
// container, as its node's kubelet measures it, and what it could take at most.
type Kubelet struct {
	*link
	limit time.Duration // for one node
	seen  map[history.Incarnation]written
}

// written is what the history already has of one life.
type written struct {
	measured    time.Time // the last time
	limit, node uint64    // bytes; 0: none yet
}

// NewKubelet makes the probe; limit bounds the answer of one node.
func NewKubelet(c cluster.Cluster, limit time.Duration) (*Kubelet, error) {
	l, err := newLink(c.Client().RESTConfig())
	if err != nil {
		return nil, err
	}
	return &Kubelet{link: l, limit: limit, seen: map[history.Incarnation]written{}}, nil
}

// Name implements Probe.
func (k *Kubelet) Name() string { return KubeletName }

// summary is what is read of a kubelet's stats/summary.
type summary struct {
	Node struct {
		Memory memoryStats `json:"memory"`
	} `json:"node"`
	Pods []struct {
		PodRef struct {
			UID string `json:"uid"`
		} `json:"podRef"`
		Containers []containerStats `json:"containers"`
	} `json:"pods"`
}

type containerStats struct {
	Name      string      `json:"name"`
	StartTime time.Time   `json:"startTime"`
	Memory    memoryStats `json:"memory"`
}

type memoryStats struct {
	Time       time.Time `json:"time"`
	Available  *uint64   `json:"availableBytes"` // only where there is a limit
	RSS        *uint64   `json:"rssBytes"`
	WorkingSet *uint64   `json:"workingSetBytes"`
}

// most is what may be taken at most, or 0 where nothing but the node limits it.
// What is available is the limit less the working set, and wraps around below
// zero; the sum wraps back.
func (m memoryStats) most() uint64 {
	if m.Available == nil || m.WorkingSet == nil {
		return 0
	}
	return *m.Available + *m.WorkingSet
}

// Sample implements Probe. A kubelet that has not measured anew gives no new
// sample.
func (k *Kubelet) Sample(ctx context.Context) ([]history.Sample, error) {
	c := k.get()
	var got harvest
	all, err := c.livesWithin(ctx, k.limit)
	if err != nil {
		return nil, err
	}
	nodes := map[string][]life{}
	current := map[history.Incarnation]bool{}
	for _, l := range split(all, &got, history.ManagerSubject, history.InstanceManagerSubject) {
		nodes[l.incarnation.Node] = append(nodes[l.incarnation.Node], l)
		current[l.incarnation] = true
	}
	maps.DeleteFunc(k.seen, func(i history.Incarnation, _ written) bool { return !current[i] })

	answers := make(chan nodeAnswer, len(nodes))
	each(ctx, k.limit, slices.Sorted(maps.Keys(nodes)), func(ctx context.Context, node string) {
		stats, err := c.summary(ctx, node)
		answers <- nodeAnswer{node: node, stats: stats, err: because(ctx, err)}
	})
	close(answers)
	now := time.Now()
	for answer := range answers {
		for _, l := range nodes[answer.node] {
			if answer.err != nil {
				got.miss(l.gapSubject(), answer.err)
				continue
			}
			samples, err := k.samples(l, answer.stats, now)
			if err != nil {
				got.miss(l.gapSubject(), err)
				continue
			}
			got.add(samples...)
		}
	}
	return got.result()
}

type nodeAnswer struct {
	node  string
	stats summary
	err   error
}

func (c *connection) summary(ctx context.Context, node string) (summary, error) {
	data, err := c.core.CoreV1().RESTClient().Get().
		Resource("nodes").Name(node).SubResource("proxy").Suffix("stats/summary").
		Param("only_cpu_and_memory", "true"). // volumes and networks cost a kubelet far more
		SetHeader("Accept", "application/json").DoRaw(ctx)
	if err != nil {
		return summary{}, fmt.Errorf("read the stats of node %s: %w", node, err)
	}
	var stats summary
	if err := json.Unmarshal(data, &stats); err != nil {
		return summary{}, fmt.Errorf("read the stats of node %s: %w", node, err)
	}
	return stats, nil
}

// samples picks the numbers of one life out of its node's.
func (k *Kubelet) samples(l life, stats summary, now time.Time) ([]history.Sample, error) {
	measured, err := find(l, stats)
	if err != nil {
		return nil, err
	}
	at, before := measured.Memory.Time, k.seen[l.incarnation]
	switch age := now.Sub(at); {
	case age > maxStatsAge:
		return nil, fmt.Errorf("the kubelet's last measurement is %s old", age.Round(time.Second))
	case age < -maxAhead:
		return nil, fmt.Errorf("the node's clock is %s ahead of this machine's", -age.Round(time.Second))
	case at.Equal(before.measured):
		return nil, nil
	}
	after := written{
		measured: at, limit: cmp.Or(measured.Memory.most(), before.limit), node: cmp.Or(stats.Node.Memory.most(), before.node),
	}
	one := func(series string, value uint64) history.Sample {
		return history.Sample{Time: at, Probe: KubeletName, Series: series, Subject: l.subject, Incarnation: l.incarnation, Value: float64(value)}
	}
	var samples []history.Sample
	if measured.Memory.RSS != nil {
		samples = append(samples, one(history.RSS, *measured.Memory.RSS))
	}
	if measured.Memory.WorkingSet != nil {
		samples = append(samples, one(history.WorkingSet, *measured.Memory.WorkingSet))
	}
	if len(samples) == 0 {
		return nil, errors.New("the kubelet gives no memory of the container")
	}
	k.seen[l.incarnation] = after
	if after.limit != before.limit {
		samples = append(samples, one(history.MemoryLimit, after.limit))
	}
	if after.node != before.node {
		samples = append(samples, one(history.NodeMemory, after.node))
	}
	return samples, nil
}

// find looks for a life's container. What was measured of the one before a
// restart, or of one that the API server does not know of yet, is not it.
func find(l life, stats summary) (containerStats, error) {
	for _, pod := range stats.Pods {
		if pod.PodRef.UID != l.incarnation.UID {
			continue
		}
		for _, c := range pod.Containers {
			if c.Name != l.incarnation.Container {
				continue
			}
			if apart := c.StartTime.Sub(l.started); apart.Abs() > lifeSlack {
				return containerStats{}, fmt.Errorf("kubelet and API server speak of different lives of the container, %s apart", apart.Abs().Round(time.Second))
			}
			if c.Memory.Time.Before(l.started) {
				return containerStats{}, errors.New("the kubelet has not measured the container since its start")
			}
			return c, nil
		}
	}
	return containerStats{}, errors.New("the kubelet does not know the container")
}
