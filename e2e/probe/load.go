package probe

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"

	"blackout/e2e/cluster"
	"blackout/e2e/history"
	"blackout/e2e/longhorn"
)

// Load samples the load average of every node that runs a manager, the number
// that was over 150 in #9978. No API has it, but /proc/loadavg is not kept apart
// by containers: each shows that of its node's kernel. On kind all nodes share
// one kernel, and each shows the load of the whole machine, harness included.
type Load struct {
	*link
	limit time.Duration // for one node
	read  func(ctx context.Context, c *connection, l life) (string, error)
}

// NewLoad makes the probe; limit bounds the answer of one node.
func NewLoad(c cluster.Cluster, limit time.Duration) (*Load, error) {
	l, err := newLink(c.Client().RESTConfig())
	if err != nil {
		return nil, err
	}
	return &Load{link: l, limit: limit, read: readLoad}, nil
}

// Name implements Probe.
func (p *Load) Name() string { return LoadName }

// Sample implements Probe. The subject of samples and gaps is the node.
func (p *Load) Sample(ctx context.Context) ([]history.Sample, error) {
	c := p.get()
	all, err := c.livesWithin(ctx, p.limit)
	if err != nil {
		return nil, err
	}
	var managers []life
	for _, l := range all {
		if l.subject == history.ManagerSubject {
			managers = append(managers, l)
		}
	}
	var got harvest
	each(ctx, p.limit, managers, func(ctx context.Context, l life) {
		node := l.incarnation.Node
		if !l.running {
			got.miss(node, fmt.Errorf("its manager cannot be asked: %s", l.state))
			return
		}
		at := time.Now()
		text, err := p.read(ctx, c, l)
		if err != nil {
			got.miss(node, fmt.Errorf("read the load average in pod %s: %w", l.incarnation.Pod, because(ctx, err)))
			return
		}
		value, err := parseLoad(text)
		if err != nil {
			got.miss(node, err)
			return
		}
		got.add(history.Sample{Time: at, Probe: LoadName, Series: history.NodeLoad, Subject: node, Incarnation: history.Incarnation{Node: node}, Value: value})
	})
	return got.result()
}

// parseLoad takes the average over one minute.
func parseLoad(text string) (float64, error) {
	const fields = 5 // three averages, running/all, last PID
	words := strings.Fields(text)
	if len(words) != fields {
		return 0, fmt.Errorf("%q is no load average", shorten(text, maxReason))
	}
	value, err := strconv.ParseFloat(words[0], 64)
	if err != nil {
		return 0, fmt.Errorf("load average: %w", err)
	}
	return value, nil
}

func readLoad(ctx context.Context, c *connection, l life) (string, error) {
	config := rest.CopyConfig(c.config)
	set, err := kubernetes.NewForConfig(config)
	if err != nil {
		return "", err
	}
	request := set.CoreV1().RESTClient().Post().Resource("pods").Namespace(longhorn.Namespace).Name(l.incarnation.Pod).
		SubResource("exec").VersionedParams(&corev1.PodExecOptions{
		Container: l.incarnation.Container, Command: []string{"cat", "/proc/loadavg"}, Stdout: true,
	}, scheme.ParameterCodec)
	executor, err := remotecommand.NewSPDYExecutor(config, "POST", request.URL())
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	if err := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &limited{to: &out, left: maxLoadText}}); err != nil {
		return "", err
	}
	return out.String(), nil
}

const maxLoadText = 256 // bytes

// limited takes so much and no more.
type limited struct {
	to   io.Writer
	left int
}

func (l *limited) Write(data []byte) (int, error) {
	if len(data) > l.left {
		return 0, io.ErrShortWrite
	}
	l.left -= len(data)
	return l.to.Write(data)
}
