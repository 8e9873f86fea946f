package kind

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/wait"

	"blackout/e2e/cluster"
)

// cgroupRoot is replaced in tests.
var cgroupRoot = "/sys/fs/cgroup"

// freezePoll is between two looks at a freezer: short beside a cut's skew.
const freezePoll = 200 * time.Microsecond

// freezer of a container's control group. The processes of its pods are in groups
// below and freeze with it.
type freezer struct {
	order      string // file that takes the order
	stop, thaw string // the orders
	state      string // file that tells
	frozen     string // line of it that says that all stand still
}

// findFreezer knows a container's freezer by the /proc/PID/cgroup of any of its
// processes. It is the group that the engine made: processes may be in groups
// below. It is nil where this process does not see it, or where the process of
// that file is not in it.
func findFreezer(groups, id string) *freezer {
	for line := range strings.Lines(groups) {
		const parts = 3 // number:controllers:path, see cgroups(7)
		fields := strings.SplitN(strings.TrimSpace(line), ":", parts)
		if len(fields) != parts {
			continue
		}
		before, after, ours := strings.Cut(fields[2], id)
		if !ours {
			continue
		}
		rest, _, _ := strings.Cut(after, "/") // ".scope"
		path := before + id + rest
		var f freezer
		switch {
		case slices.Contains(strings.Split(fields[1], ","), "freezer"):
			state := filepath.Join(cgroupRoot, "freezer", path, "freezer.state")
			f = freezer{order: state, stop: "FROZEN", thaw: "THAWED", state: state, frozen: "FROZEN"}
		case fields[1] == "":
			dir := filepath.Join(cgroupRoot, path)
			f = freezer{order: filepath.Join(dir, "cgroup.freeze"), stop: "1", thaw: "0", state: filepath.Join(dir, "cgroup.events"), frozen: "frozen 1"}
		default:
			continue
		}
		if _, err := os.Stat(f.order); err == nil {
			return &f
		}
	}
	return nil
}

func (f freezer) give(order string) error {
	file, err := os.OpenFile(f.order, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(order)
	return errors.Join(err, file.Close())
}

// still tells whether every process in it stands still.
func (f freezer) still() (bool, error) {
	raw, err := os.ReadFile(f.state)
	if err != nil {
		return false, err
	}
	return slices.Contains(strings.Split(strings.TrimSpace(string(raw)), "\n"), f.frozen), nil
}

// stopAll gives all the order to stop, in a row and ahead of whatever else this
// machine does, and tells when each had taken it. From then on no process of it
// runs another instruction of its own: the kernel stops it on its way out of the
// kernel at the latest, where it may have something to finish.
func stopAll(freezers []*freezer) (at []time.Time, err error) {
	files := make([]*os.File, 0, len(freezers))
	defer func() {
		for _, file := range files {
			_ = file.Close()
		}
	}()
	for _, f := range freezers {
		file, err := os.OpenFile(f.order, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	at = make([]time.Time, len(files))
	done := make(chan error)
	go func() {
		// It is not unlocked, so that the thread ends and its priority with it.
		runtime.LockOSThread()
		// Without the right to that it is not as fast.
		_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0)
		var failed []error
		for i, file := range files {
			_, err := file.WriteString(freezers[i].stop)
			at[i], failed = time.Now(), append(failed, err)
		}
		done <- errors.Join(failed...)
	}()
	return at, <-done
}

// await returns when every process was seen to stand still. The order is given
// again at each look: the kernel can miss what is just being born, see runc's
// libcontainer/cgroups/fs/freezer.go.
func (f freezer) await(ctx context.Context) error {
	return wait.PollUntilContextCancel(ctx, freezePoll, true, func(context.Context) (bool, error) {
		if still, err := f.still(); still || err != nil {
			return still, err
		}
		return false, f.give(f.stop)
	})
}

// freezing is how nodes were frozen.
type freezing struct {
	stopped  map[string]time.Time // by node, when it had stopped
	byEngine bool
	doomed   bool // killed too, all of them
	how      string
}

// freeze makes all nodes stand still together: through their freezers where this
// process may, else the engine has to, which takes longer.
func (p *Provider) freeze(ctx context.Context, nodes []container) (freezing, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.timeouts.Freeze, fmt.Errorf("not all stood still within %s", p.timeouts.Freeze))
	defer cancel()
	freezers, why, err := freezersOf(ctx, nodes)
	if err != nil {
		return freezing{}, err
	}
	if why != "" {
		return p.pause(ctx, nodes, why)
	}
	f := freezing{stopped: map[string]time.Time{}}
	at, err := stopAll(freezers)
	if err != nil {
		return f, fmt.Errorf("freeze the nodes: %w", err)
	}
	began := time.Now()
	for i, c := range nodes {
		f.stopped[c.Name] = at[i]
		if err := freezers[i].await(ctx); err != nil {
			return f, fmt.Errorf("freeze node %s: %w", c.Name, because(ctx, err))
		}
	}
	f.how = fmt.Sprintf("frozen through their control groups, the last process seen to stand still after %s", time.Since(began).Round(freezePoll))
	return f, nil
}

// pause lets the engine freeze the nodes.
func (p *Provider) pause(ctx context.Context, nodes []container, why string) (freezing, error) {
	f := freezing{stopped: map[string]time.Time{}, byEngine: true, how: "paused by the engine, since " + why}
	var mu sync.Mutex
	return f, cluster.All(nodes, func(_ int, c container) error {
		if _, err := p.engine.Run(ctx, "pause", c.Name); err != nil {
			return fmt.Errorf("freeze node %s: %w", c.Name, because(ctx, err))
		}
		mu.Lock()
		defer mu.Unlock()
		f.stopped[c.Name] = time.Now()
		return nil
	})
}

// because says why ctx ended, if it did.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

const (
	// endingLimit is how long a process that ends may be in no freezer any more and
	// not yet be seen to have ended: nodes start and end probes all the time.
	endingLimit = 500 * time.Millisecond
	endingPoll  = 10 * time.Millisecond
)

// freezersOf finds every node's freezer, or says why it may not be used.
func freezersOf(ctx context.Context, nodes []container) (freezers []*freezer, why string, err error) {
	var byNode []members
	err = wait.PollUntilContextTimeout(ctx, endingPoll, endingLimit, true, func(context.Context) (bool, error) {
		var err error
		byNode, err = membersOf(nodes)
		return !slices.ContainsFunc(byNode, func(m members) bool { return m.outside > 0 }), err
	})
	if err != nil && !wait.Interrupted(err) { // what is outside for longer is told below
		return nil, "", err
	}
	for i, c := range nodes {
		f := byNode[i].freezer
		switch {
		case f == nil:
			return nil, "the control group of node " + c.Name + " is not seen", nil
		case byNode[i].outside > 0:
			return nil, fmt.Sprintf("%d processes of node %s are outside of its control group", byNode[i].outside, c.Name), nil
		}
		// Opening it does nothing yet.
		file, err := os.OpenFile(f.order, os.O_WRONLY, 0)
		if err != nil {
			return nil, err.Error(), nil //nolint:nilerr // then the engine has to
		}
		_ = file.Close()
		freezers = append(freezers, f)
	}
	return freezers, "", nil
}

// thaw lets the processes of these nodes go on, if they were stopped. What the
// engine paused the engine must resume.
func thaw(nodes []container) error {
	return thawEach(nodes, func(f *freezer) []freezer { return []freezer{*f} })
}

// thawKilled lets those go on that were killed: in the older control groups they
// die only then. A node's own runc freezes the group of a container that it
// starts, and killed in the middle of that it never thaws it: so all groups below
// are thawed too.
func thawKilled(nodes []container) error { return thawEach(nodes, (*freezer).below) }

func thawEach(nodes []container, of func(*freezer) []freezer) error {
	byNode, err := membersOf(nodes)
	if err != nil {
		return err
	}
	for i, c := range nodes {
		if byNode[i].freezer == nil || c.State.Status == statusPaused {
			continue
		}
		for _, f := range of(byNode[i].freezer) {
			// Its group may have gone with it meanwhile.
			if err := f.give(f.thaw); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENODEV) {
				return fmt.Errorf("thaw node %s: %w", c.Name, err)
			}
		}
	}
	return nil
}

// below lists the freezers of a group and of all groups below it.
func (f *freezer) below() []freezer {
	dir, name := filepath.Split(f.order)
	var all []freezer
	// A group that goes meanwhile needs nothing.
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			one := *f
			one.order = filepath.Join(path, name)
			all = append(all, one)
		}
		return nil
	})
	return all
}

// stopped tells whether the order to stop was given to these processes and not
// taken back.
func (m members) stopped() (bool, error) {
	if m.freezer == nil {
		return false, nil
	}
	raw, err := os.ReadFile(m.freezer.order)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
		return false, nil // gone meanwhile
	}
	return err == nil && strings.TrimSpace(string(raw)) != m.freezer.thaw, err
}
