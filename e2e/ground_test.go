package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/e2e-framework/klient/k8s/resources"

	"blackout/e2e/cluster"
	"blackout/e2e/cluster/existing"
	"blackout/e2e/engine"
	"blackout/e2e/images"
	"blackout/e2e/longhorn"
	"blackout/e2e/progress"
	"blackout/e2e/run"
)

const (
	defaultVersion = "v1.7.2"
	// clusterLabel selects exactly one cluster's containers: names only by how they
	// begin, and another process may have one that begins alike.
	clusterLabel = "label=io.x-k8s.kind.cluster="
	// upLimit covers compiling everything from nothing on two cores.
	upLimit = 60 * time.Minute
	// cycleLimit covers a power cycle of the workers and Longhorn's recovery.
	cycleLimit = 8 * time.Minute
	// adoptLimit covers a few calls to an API server.
	adoptLimit = time.Minute
)

func fromEnv(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

// up makes a lab of 1 + 2 nodes and removes it after the spec's container.
func up(ctx context.Context, h run.Harness, id, managerSource string, volumes int) *run.Lab {
	GinkgoHelper()
	spec := run.LabSpec{
		Run: id, ControlPlanes: 1, Workers: 2, Volumes: volumes, Replicas: 2, VolumeSize: "16Mi",
		Request: images.Request{
			Longhorn: fromEnv(envLonghorn, defaultVersion), Mode: images.Mode(fromEnv(envImages, string(images.Auto))), ManagerSource: managerSource,
		},
	}
	DeferCleanup(func(ctx context.Context) {
		e, err := engine.Detect(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(h.Down(ctx, e, id)).To(Succeed())
		left, err := e.Lines(ctx, "ps", "--all", "--quiet", "--filter", clusterLabel+"blackout-"+id)
		Expect(err).NotTo(HaveOccurred())
		Expect(left).To(BeEmpty(), "containers that outlive their run")
	})
	// Registered after the removal, and so done before it.
	DeferCleanup(func(ctx context.Context) {
		if !CurrentSpecReport().Failed() {
			return
		}
		dir := filepath.Join(fromEnv(envResults, os.TempDir()), "logs", id)
		Expect(os.MkdirAll(dir, 0o755)).To(Succeed())
		if err := h.ExportLogs(ctx, id, dir); err != nil {
			GinkgoWriter.Println("no logs could be kept:", err)
			return
		}
		GinkgoWriter.Println("logs of the nodes are in", dir)
	})
	lab, err := h.Up(ctx, spec)
	Expect(err).NotTo(HaveOccurred())
	for _, timing := range lab.Timings {
		AddReportEntry(timing.Step, fmt.Sprintf("%s, cached: %t", timing.Elapsed.Round(time.Second), timing.Cached))
	}
	return lab
}

var _ = Describe("the ground that every run stands on", Label("ground"), Ordered, func() {
	var (
		h   run.Harness
		lab *run.Lab
	)

	BeforeAll(func(ctx SpecContext) {
		var err error
		h, err = run.NewHarness(progress.New(GinkgoWriter))
		Expect(err).NotTo(HaveOccurred())
		lab = up(ctx, h, "e2e", "", 4)
	}, NodeTimeout(upLimit))

	It("has the shape that was asked for and healthy volumes on every worker", func(ctx SpecContext) {
		nodes, err := lab.Cluster.Nodes(ctx)
		Expect(err).NotTo(HaveOccurred())
		roles := map[cluster.Role]int{}
		for _, node := range nodes {
			Expect(node.Ready).To(BeTrue(), node.Name)
			roles[node.Role]++
		}
		Expect(roles).To(Equal(map[cluster.Role]int{cluster.ControlPlane: 1, cluster.Worker: 2}))

		var volumes longhorn.VolumeList
		Expect(lab.Longhorn.API().List(ctx, &volumes)).To(Succeed())
		Expect(volumes.Items).To(HaveLen(4))
		var replicas longhorn.ReplicaList
		Expect(lab.Longhorn.API().List(ctx, &replicas)).To(Succeed())
		perNode := map[string]int{}
		for _, replica := range replicas.Items {
			perNode[replica.Spec.NodeID]++
		}
		Expect(perNode).To(HaveLen(2), "replicas are spread over both workers")
		for node, count := range perNode {
			Expect(count).To(Equal(4), "replicas on %s", node)
		}
	}, NodeTimeout(adoptLimit))

	It("is found as it stands when it is asked for again", func(ctx SpecContext) {
		again, err := h.Up(ctx, lab.Spec)
		Expect(err).NotTo(HaveOccurred())
		Expect(again.VolumeIDs).To(Equal(lab.VolumeIDs))
		var before, after corev1.Namespace
		Expect(lab.Cluster.Client().Resources().Get(ctx, "kube-system", "", &before)).To(Succeed())
		Expect(again.Cluster.Client().Resources().Get(ctx, "kube-system", "", &after)).To(Succeed())
		Expect(after.UID).To(Equal(before.UID), "the same cluster")

		other := lab.Spec
		other.Volumes++
		_, err = h.Up(ctx, other)
		Expect(err).To(MatchError(ContainSubstring("made of other things")), "never replaced unasked")
	}, NodeTimeout(cycleLimit))

	It("completes a backup whose object lies in the store", func(ctx SpecContext) {
		By("running an S3 server as the backup target")
		store, err := lab.Longhorn.InstallObjectStore(ctx, lab.Set.ObjectStore)
		Expect(err).NotTo(HaveOccurred())
		Expect(lab.Longhorn.ConfigureBackupTarget(ctx, store)).To(Succeed())
		before, err := store.Objects(ctx)
		Expect(err).NotTo(HaveOccurred())

		By("taking a snapshot and backing it up")
		const snapshot, backup = "e2e-snapshot", "e2e-backup"
		volume := lab.VolumeIDs[0]
		_, err = lab.Longhorn.TakeSnapshot(ctx, volume, snapshot)
		Expect(err).NotTo(HaveOccurred())
		Expect(lab.Longhorn.CreateBackup(ctx, volume, snapshot, backup)).To(Succeed())
		done, err := lab.Longhorn.WaitBackup(ctx, backup)
		Expect(err).NotTo(HaveOccurred())
		Expect(done.Status.State).To(Equal("Completed"))

		By("looking into the store itself")
		after, err := store.Objects(ctx)
		Expect(err).NotTo(HaveOccurred())
		named := func(objects []longhorn.Object) (found []string) {
			for _, object := range objects {
				if strings.Contains(object.Key, backup) {
					found = append(found, object.Key)
				}
			}
			return found
		}
		Expect(named(before)).To(BeEmpty())
		Expect(named(after)).NotTo(BeEmpty(), "an object of the backup among %v", after)
	}, NodeTimeout(cycleLimit))

	It("comes back by itself when the workers return with each other's addresses", func(ctx SpecContext) {
		e, err := engine.Detect(ctx)
		Expect(err).NotTo(HaveOccurred())
		addresses := func() map[string]string {
			found := map[string]string{}
			out, err := e.Lines(ctx, "ps", "--quiet", "--no-trunc", "--filter", clusterLabel+lab.Cluster.Name())
			Expect(err).NotTo(HaveOccurred())
			for _, id := range out {
				line, err := e.Run(ctx, "inspect", "--format", "{{.Name}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", id)
				Expect(err).NotTo(HaveOccurred())
				name, address, _ := strings.Cut(line, " ")
				found[strings.TrimPrefix(name, "/")] = address
			}
			return found
		}
		before := addresses()
		first, second := lab.Cluster.Name()+"-worker", lab.Cluster.Name()+"-worker2"
		By("killing both workers and starting first the one with the higher address, which gets the lower one")
		order := []string{first, second}
		slices.SortFunc(order, func(a, b string) int {
			return netip.MustParseAddr(before[b]).Compare(netip.MustParseAddr(before[a]))
		})
		_, err = e.Run(ctx, "kill", first, second)
		Expect(err).NotTo(HaveOccurred())
		since := time.Now()
		for _, node := range order {
			_, err := e.Run(ctx, "start", node)
			Expect(err).NotTo(HaveOccurred())
		}
		after := addresses()
		Expect(after[first]).To(Equal(before[second]), "the addresses are swapped, else this proves nothing")
		Expect(after[second]).To(Equal(before[first]))

		By("waiting for the API to tell the new addresses")
		Eventually(func(g Gomega) {
			nodes, err := lab.Cluster.Nodes(ctx)
			g.Expect(err).NotTo(HaveOccurred())
			for _, node := range nodes {
				g.Expect(node.Ready).To(BeTrue(), node.Name)
				g.Expect(node.Address).To(Equal(after[node.Name]), node.Name)
			}
		}).WithContext(ctx).WithTimeout(h.Timeouts.NodesReady).WithPolling(h.Timeouts.Poll).Should(Succeed())

		By("waiting for Longhorn, whose managers reach each other over the pod network only")
		restores := longhorn.Restores{first: since, second: since}
		Expect(lab.Longhorn.WaitReady(ctx, restores)).To(Succeed())
		Expect(lab.Longhorn.WaitVolumesHealthy(ctx, lab.VolumeIDs, restores)).To(Succeed())
	}, NodeTimeout(cycleLimit))

	It("is adopted as an existing cluster only by the UID of its kube-system", func(ctx SpecContext) {
		var system corev1.Namespace
		Expect(lab.Cluster.Client().Resources().Get(ctx, "kube-system", "", &system)).To(Succeed())
		spec := existing.Spec{Kubeconfig: lab.Kubeconfig, Context: "kind-" + lab.Cluster.Name(), SystemUID: string(system.UID)}

		provider, err := existing.New(spec, h.Timeouts)
		Expect(err).NotTo(HaveOccurred())
		adopted, err := provider.Create(ctx)
		Expect(err).NotTo(HaveOccurred())
		nodes, err := adopted.Nodes(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(nodes).To(HaveLen(3))
		Expect(adopted.Capabilities().CutPower).To(BeFalse())
		Expect(provider.Destroy(ctx)).To(Succeed())
		_, err = lab.Cluster.Nodes(ctx)
		Expect(err).NotTo(HaveOccurred(), "an adopted cluster outlives its provider")

		spec.SystemUID = "00000000-0000-0000-0000-000000000000"
		provider, err = existing.New(spec, h.Timeouts)
		Expect(err).NotTo(HaveOccurred())
		_, err = provider.Create(ctx)
		Expect(err).To(MatchError(ContainSubstring("another cluster")))
	}, NodeTimeout(adoptLimit))
})

var _ = Describe("a checkout of longhorn-manager", Label("ground"), func() {
	It("runs in the cluster, with the line that its developer changed", func(ctx SpecContext) {
		h, err := run.NewHarness(progress.New(GinkgoWriter))
		Expect(err).NotTo(HaveOccurred())

		By("copying the module's source and changing one log line")
		const (
			file   = "app/daemon.go"
			marker = "this line was changed by the developer"
		)
		version := fromEnv(envLonghorn, defaultVersion)
		checkout := filepath.Join(GinkgoT().TempDir(), "longhorn-manager")
		copyManager(ctx, h, version, checkout)
		path := filepath.Join(checkout, file)
		source, err := os.ReadFile(path)
		Expect(err).NotTo(HaveOccurred())
		changed := strings.Replace(string(source), "func startManager(c *cli.Context) error {",
			"func startManager(c *cli.Context) error {\n\tlogrus.Info(\""+marker+"\")", 1)
		Expect(changed).NotTo(Equal(string(source)), "the place to change was not found in %s", file)
		Expect(os.WriteFile(path, []byte(changed), 0o600)).To(Succeed())

		lab := up(ctx, h, "e2e-checkout", checkout, 1)
		var managers corev1.PodList
		api, err := resources.New(lab.Cluster.Client().RESTConfig())
		Expect(err).NotTo(HaveOccurred())
		Expect(api.WithNamespace(longhorn.Namespace).List(ctx, &managers, resources.WithLabelSelector("app="+longhorn.ManagerName))).To(Succeed())
		Expect(managers.Items).To(HaveLen(2))
		for _, pod := range managers.Items {
			Expect(logOf(ctx, lab.Cluster, pod)).To(ContainSubstring(marker), pod.Name)
		}
		Expect(lab.Set.Origins).To(ContainElement(HaveField("Source", "checkout")))
	}, NodeTimeout(upLimit))
})

// copyManager copies the module's source: what a developer's checkout holds.
func copyManager(ctx context.Context, h run.Harness, version, to string) {
	GinkgoHelper()
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", "github.com/longhorn/longhorn-manager")
	cmd.Dir = filepath.Join(h.Fixtures, "longhorn-manager", version)
	out, err := cmd.Output()
	Expect(err).NotTo(HaveOccurred(), "find the source of %s", version)
	var module struct{ Dir string }
	Expect(json.Unmarshal(out, &module)).To(Succeed())
	Expect(os.CopyFS(to, os.DirFS(module.Dir))).To(Succeed())
	// The module cache is read-only; a checkout is not.
	Expect(exec.CommandContext(ctx, "chmod", "-R", "u+w", to).Run()).To(Succeed())
}

func logOf(ctx context.Context, c cluster.Cluster, pod corev1.Pod) string {
	GinkgoHelper()
	clientset, err := kubernetes.NewForConfig(c.Client().RESTConfig())
	Expect(err).NotTo(HaveOccurred())
	stream, err := clientset.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: longhorn.ManagerName}).Stream(ctx)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = stream.Close() }()
	text, err := io.ReadAll(stream)
	Expect(err).NotTo(HaveOccurred())
	return string(text)
}
