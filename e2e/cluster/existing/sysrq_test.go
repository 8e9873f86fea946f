package existing

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"blackout/e2e/cluster"
	"blackout/e2e/scenario"
)

// fakeKernels is a fake cluster whose nodes b and c reboot when the pods on them
// have been told to, and are away for a while.
type fakeKernels struct {
	mu        sync.Mutex
	api       *fake.Clientset
	ends      map[string]time.Time // by node
	orders    []string             // pod: command
	boots     map[string]string
	waiting   string // why containers never run
	clock     time.Duration
	tellFails bool
	deaf      bool          // kernels ignore the order
	dark      time.Duration // how long ports are silent
	provider  *Provider
	dir       string
}

const away = 40 * time.Second

func kernels(t *testing.T, text string) *fakeKernels {
	t.Helper()
	power, err := decodePower("power.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeKernels{ends: map[string]time.Time{}, boots: map[string]string{"b": "boot-b", "c": "boot-c"}, dir: t.TempDir(), dark: away}
	f.api = fake.NewClientset()
	f.api.PrependReactor("create", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
		pod := a.(clienttesting.CreateAction).GetObject().(*corev1.Pod)
		status := corev1.ContainerStatus{Ready: true}
		if f.waiting != "" {
			status = corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: f.waiting}}}
		}
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{status}
		return false, nil, nil
	})
	f.api.PrependReactor("get", "nodes", func(a clienttesting.Action) (bool, runtime.Object, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		name := a.(clienttesting.GetAction).GetName()
		boot := f.boots[name]
		if end := f.ends[name]; !end.IsZero() && time.Since(end) > away {
			boot += "-next"
		}
		return true, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{BootID: boot}}}, nil
	})
	// The fake API server takes this call and does nothing.
	f.api.PrependReactor("delete-collection", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
		pods, err := f.api.Tracker().List(a.GetResource(), corev1.SchemeGroupVersion.WithKind("Pod"), a.GetNamespace())
		if err != nil {
			return true, nil, err
		}
		for _, pod := range pods.(*corev1.PodList).Items {
			err = errors.Join(err, f.api.Tracker().Delete(a.GetResource(), pod.Namespace, pod.Name))
		}
		return true, nil, err
	})
	f.provider, err = New(Spec{Context: "lab", SystemUID: uid, Power: &power, Dir: f.dir}, scenario.Timeouts{Poll: time.Second, CleanUp: 2 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	f.provider.nodes = []cluster.Node{nodeA, nodeB, nodeC}
	s := f.source()
	s.dial, s.exec = f.dial, f.exec
	s.api = func(context.Context) (kubernetes.Interface, error) { return f.api, nil }
	return f
}

func (f *fakeKernels) source() *sysrqSwitch { return f.provider.source.(*sysrqSwitch) }

func (f *fakeKernels) dial(_ context.Context, address string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, node := range map[string]cluster.Node{"b": nodeB, "c": {Address: "192.0.2.3"}} {
		end := f.ends[name]
		if strings.HasPrefix(address, node.Address) && !end.IsZero() && time.Now().After(end) && time.Since(end) < f.dark {
			return &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
		}
	}
	return nil
}

func (f *fakeKernels) exec(_ context.Context, _, pod string, command ...string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.orders = append(f.orders, pod+": "+strings.Join(command, " "))
	if command[0] == "date" {
		return strconv.FormatInt(time.Now().Add(f.clock).Unix(), 10), nil
	}
	if f.tellFails && pod == "sysrq-c" {
		return "", errors.New("connection reset")
	}
	var at int64
	if _, err := fmt.Sscanf(command[2], "echo %d > /order/at", &at); err != nil {
		return "", err
	}
	if !f.deaf {
		f.ends[strings.TrimPrefix(pod, "sysrq-")] = time.Unix(at, 0)
	}
	return "", nil
}

func (f *fakeKernels) objects(t *testing.T) (pods []corev1.Pod, namespaces []corev1.Namespace) {
	t.Helper()
	p, err := f.api.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n, err := f.api.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p.Items, n.Items
}

var addressedC = cluster.Node{Name: "c", Role: cluster.Worker, Address: "192.0.2.3"}

func TestSysrqReboots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		f := kernels(t, sysrqFile)
		made := map[string]*corev1.Pod{}
		f.api.PrependReactor("create", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
			pod := a.(clienttesting.CreateAction).GetObject().(*corev1.Pod)
			made[pod.Name] = pod.DeepCopy()
			return false, nil, nil
		})
		cutting, err := f.provider.Cut(t.Context(), scenario.Drop, nodeB, addressedC)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(f.ends["b"]).To(Equal(f.ends["c"]), "one time for all")
		g.Expect(cutting.Stopped["b"]).To(BeTemporally("~", f.ends["b"], 2*time.Second))
		g.Expect(cutting.Skew()).To(BeNumerically("<=", 2*time.Second))
		g.Expect(f.orders[:2]).To(ConsistOf("sysrq-b: date +%s", "sysrq-c: date +%s"), "all are ready before one is told")

		pod := made["sysrq-b"]
		g.Expect(pod.Labels).To(HaveKeyWithValue("blackout.managed", "true"))
		g.Expect(pod.Spec.NodeName).To(Equal("b"))
		g.Expect(pod.Spec.HostPID).To(BeTrue())
		g.Expect(pod.Spec.RestartPolicy).To(Equal(corev1.RestartPolicyNever), "it must not come back with its node")
		g.Expect(pod.Spec.Tolerations).To(ConsistOf(corev1.Toleration{Operator: corev1.TolerationOpExists}))
		g.Expect(*pod.Spec.Containers[0].SecurityContext.Privileged).To(BeTrue())
		g.Expect(pod.Spec.Containers[0].Image).To(Equal("busybox:1"))
		g.Expect(pod.Spec.Containers[0].Command[2]).To(ContainSubstring("echo b > /proc/sysrq-trigger"))
		pods, namespaces := f.objects(t)
		g.Expect(pods).To(BeEmpty())
		g.Expect(namespaces).To(BeEmpty())

		powers, err := f.provider.Power(t.Context(), nodeB)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(powers[0].On).To(BeFalse())
		g.Expect(powers[0].Since).To(BeTemporally("==", cutting.Stopped["b"]))

		_, err = f.provider.Restore(t.Context(), nodeB, addressedC)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(time.Since(f.ends["b"])).To(BeNumerically(">=", away), "it waits until they return")
		powers, err = f.provider.Power(t.Context(), nodeB)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(powers[0].On).To(BeTrue())
		g.Expect(filepath.Join(f.dir, RecordFile)).NotTo(BeAnExistingFile())
	})
}

func TestPowerTellsByTheBootIDThatANodeReturnedByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		f := kernels(t, sysrqFile)
		cutting, err := f.provider.Cut(t.Context(), scenario.Drop, nodeB)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(scenario.Pass(t.Context(), 2*away)).To(Succeed())
		powers, err := f.provider.Power(t.Context(), nodeB)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(powers[0].On).To(BeTrue())
		g.Expect(powers[0].Since).To(BeTemporally(">", cutting.Stopped["b"]))
		g.Expect(powers[0].Evidence).To(And(ContainSubstring("boot id was boot-b, is boot-b-next"), ContainSubstring("it returned by itself")))
	})
}

func TestANodeWhoseKernelIsThatOfBeforeHasNotReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		f := kernels(t, sysrqFile)
		f.dark = away / 2 // its port answers before its kubelet has told the new kernel
		_, err := f.provider.Cut(t.Context(), scenario.Drop, nodeB)
		g.Expect(err).NotTo(HaveOccurred())
		_, err = f.provider.Restore(t.Context(), nodeB)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(time.Since(f.ends["b"])).To(BeNumerically(">=", away))

		// Only the network was gone: the kernel that was to end still runs.
		f.ends["b"], f.boots["b"] = time.Time{}, "boot-b"
		f.source().dial = func(context.Context, string) error { return nil }
		f.deaf = true
		f.api.PrependReactor("get", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, &corev1.Node{Status: corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{BootID: "boot-b"}}}, nil
		})
		g.Expect(f.provider.change(func(r *record) {
			r.keep([]target{{Name: "b", Address: nodeB.Address, BootID: "boot-b", Stopped: time.Now()}})
		})).To(Succeed())
		_, err = f.provider.Restore(t.Context(), nodeB)
		g.Expect(err).To(MatchError(ContainSubstring("boot id boot-b as before the cut")))
	})
}

func TestARebootTooShortToBeSeenIsSeenByTheBootID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		f := kernels(t, sysrqFile)
		f.source().dial = func(context.Context, string) error { return nil }
		cutting, err := f.provider.Cut(t.Context(), scenario.Drop, nodeB)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(cutting.Evidence).To(ContainSubstring("boot id was boot-b, is boot-b-next"))
	})
}

func TestSysrqThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f *fakeKernels)
		want   string
	}{
		"no image":          {func(f *fakeKernels) { f.waiting = "ErrImagePull" }, "not within 5m (sysrq.timeout): its container waits: ErrImagePull"},
		"another clock":     {func(f *fakeKernels) { f.clock = -time.Minute }, "its clock is 1m0s behind this machine's"},
		"one is not told":   {func(f *fakeKernels) { f.tellFails = true }, "tell node c when to end: connection reset"},
		"nothing comes off": {func(f *fakeKernels) { f.deaf = true }, "node b: not seen to lose its power within 5m0s of the order; its power is on: 192.0.2.2:10250 takes connections; boot id boot-b as before the cut"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				f := kernels(t, sysrqFile)
				c.change(f)
				_, err := f.provider.Cut(t.Context(), scenario.Drop, nodeB, addressedC)
				g.Expect(err).To(MatchError(And(ContainSubstring(c.want), ContainSubstring("repower"))))
				told := f.ends["b"]
				g.Expect(f.provider.Repower(t.Context())).To(Succeed())
				if !told.IsZero() {
					g.Expect(time.Since(told)).To(BeNumerically(">=", away), "b may have been told: it is waited for")
				}
				pods, namespaces := f.objects(t)
				g.Expect(pods).To(BeEmpty())
				g.Expect(namespaces).To(BeEmpty())
				g.Expect(filepath.Join(f.dir, RecordFile)).NotTo(BeAnExistingFile())
			})
		})
	}
}

func TestPodsWaitForTheirServiceAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		f := kernels(t, sysrqFile)
		refused := 0
		f.api.PrependReactor("create", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
			if refused++; refused < 4 {
				return true, nil, apierrors.NewForbidden(corev1.Resource("pods"), "", errors.New(`serviceaccount "default" not found`))
			}
			return false, nil, nil
		})
		_, err := f.provider.Cut(t.Context(), scenario.Drop, nodeB)
		g.Expect(err).NotTo(HaveOccurred())
		_, err = f.provider.Restore(t.Context(), nodeB)
		g.Expect(err).NotTo(HaveOccurred())

		refused = -1 << 30
		_, err = f.provider.Cut(t.Context(), scenario.Drop, nodeB)
		g.Expect(err).To(MatchError(And(ContainSubstring("sysrq.timeout"), ContainSubstring(`serviceaccount "default" not found`))))
	})
}

func TestPodsThatCouldNotBeRemovedAreRemovedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		f := kernels(t, sysrqFile)
		gone := true
		f.api.PrependReactor("delete-collection", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
			if gone {
				return true, nil, errors.New("no API server")
			}
			return false, nil, nil
		})
		_, err := f.provider.Cut(t.Context(), scenario.Drop, nodeB)
		g.Expect(err).NotTo(HaveOccurred())
		_, err = f.provider.Restore(t.Context(), nodeB)
		g.Expect(err).NotTo(HaveOccurred())
		_, namespaces := f.objects(t)
		g.Expect(namespaces).To(HaveLen(1))
		g.Expect(f.provider.Destroy(t.Context())).To(MatchError(ContainSubstring("no API server")))
		gone = false
		g.Expect(f.provider.Destroy(t.Context())).To(Succeed())
		_, namespaces = f.objects(t)
		g.Expect(namespaces).To(BeEmpty())
		g.Expect(filepath.Join(f.dir, RecordFile)).NotTo(BeAnExistingFile())
	})
}

func TestSysrqPowersOffAndACommandGivesPowerBack(t *testing.T) {
	g := NewWithT(t)
	f := kernels(t, strings.Replace(sysrqFile, "reboot", "power-off\n  on: [sh, -c, \"touch $WAKE-{node}\"]", 1))
	t.Setenv("WAKE", filepath.Join(f.dir, "wake"))
	g.Expect(f.source().podOn(target{Name: "b"}).Spec.Containers[0].Command[2]).To(ContainSubstring("echo o > /proc/sysrq-trigger"))
	_, err := f.provider.Restore(t.Context(), nodeB)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(filepath.Join(f.dir, "wake-b")).To(BeAnExistingFile())
}

func TestSysrqSparesTheKernelItRunsOn(t *testing.T) {
	g := NewWithT(t)
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	g.Expect(err).NotTo(HaveOccurred())
	f := kernels(t, sysrqFile)
	f.boots["c"] = strings.TrimSpace(string(raw))
	_, err = f.provider.Cut(t.Context(), scenario.Drop, nodeB, addressedC)
	g.Expect(err).To(MatchError(And(ContainSubstring("nothing was done"), ContainSubstring("node c runs on the kernel of this machine (boot id "+f.boots["c"]))))
	f.boots["c"] = ""
	_, err = f.provider.Cut(t.Context(), scenario.Drop, nodeB, addressedC)
	g.Expect(err).To(MatchError(ContainSubstring("node c tells no boot id")))
	f.source().bootIDPath = filepath.Join(f.dir, "none")
	_, err = f.provider.Cut(t.Context(), scenario.Drop, nodeB)
	g.Expect(err).To(MatchError(ContainSubstring("read this machine's boot id")))
	pods, namespaces := f.objects(t)
	g.Expect(pods).To(BeEmpty())
	g.Expect(namespaces).To(BeEmpty())
	g.Expect(f.orders).To(BeEmpty())
}

// The script is what runs on nodes; here it writes to a file.
func TestTheScriptActsAtTheTimeAndNeverLate(t *testing.T) {
	for name, c := range map[string]struct {
		at   time.Duration // from now
		acts bool
	}{
		"told before":                {2 * time.Second, true},
		"started again afterwards":   {-late - time.Second, false},
		"told a little late by load": {-time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			f := kernels(t, sysrqFile)
			trigger, order := filepath.Join(f.dir, "trigger"), filepath.Join(f.dir, "at")
			f.source().triggerPath = trigger
			command := f.source().podOn(target{Name: "b"}).Spec.Containers[0].Command
			command[2] = strings.ReplaceAll(command[2], orderPath, order)
			at := time.Now().Add(c.at).Truncate(time.Second)
			g.Expect(os.WriteFile(order, []byte(strconv.FormatInt(at.Unix(), 10)+"\n"), 0o600)).To(Succeed())
			err := exec.CommandContext(t.Context(), command[0], command[1:]...).Run()
			if !c.acts {
				g.Expect(err).To(HaveOccurred())
				g.Expect(trigger).NotTo(BeAnExistingFile())
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(os.ReadFile(trigger)).To(Equal([]byte("b\n")))
			g.Expect(time.Now()).To(BeTemporally(">=", at))
		})
	}
}
