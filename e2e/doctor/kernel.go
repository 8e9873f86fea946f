package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// What kubelet, runc and docker need of the control groups.
var (
	controllersV1 = []string{"cpu", "cpuacct", "cpuset", "memory", "pids", "devices"}
	controllersV2 = []string{"cpu", "cpuset", "memory", "pids"}
)

const cgroupRoot = "/sys/fs/cgroup"

func checkCgroups(root string) Check {
	c := Check{Name: "cgroups"}
	entries, err := os.ReadDir(filepath.Join(root, cgroupRoot))
	if err != nil {
		c.Status, c.Found = Unknown, cgroupRoot+" cannot be read"
		c.Means = "an engine on this machine needs control groups"
		c.Do = "nothing if the engine runs elsewhere, else mount them"
		return c
	}
	if len(entries) == 0 {
		c.Status, c.Found = Fail, "no control groups are mounted at "+cgroupRoot
		c.Means = "no engine on this machine can start a container"
		c.Do = "boot with an init system that mounts them, or install cgroupfs-mount"
		return c
	}
	version, needed, have := "v1", controllersV1, []string(nil)
	if text, err := read(root, cgroupRoot+"/cgroup.controllers"); err == nil {
		version, needed, have = "v2", controllersV2, strings.Fields(text)
	} else {
		for _, entry := range entries {
			// Joined controllers are one directory, "cpu,cpuacct".
			have = append(have, strings.Split(entry.Name(), ",")...)
		}
	}
	var missing []string
	for _, name := range needed {
		if !slices.Contains(have, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		c.Status, c.Found = Fail, fmt.Sprintf("version %s without %s", strings.TrimPrefix(version, "v"), strings.Join(missing, ", "))
		c.Means = "kubelet refuses to start on the nodes"
		c.Do = "enable these controllers, on the kernel's command line or in the unit that this shell runs in"
		return c
	}
	c.Status, c.Found = OK, "version 2, all needed controllers"
	if version == "v1" {
		c.Found = "version 1, all needed controllers; Kubernetes runs on it up to 1.34, the nodes are 1.33"
		if !slices.Contains(have, "systemd") {
			c.Status, c.Found = Warn, "version 1, all needed controllers, but no systemd hierarchy"
			c.Means = "systemd inside the nodes may not start"
			c.Do = "mkdir /sys/fs/cgroup/systemd && mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd"
		}
	}
	return c
}

const overlay = "overlay"

// checkOverlay takes what the engine calls its storage driver, or nothing.
func checkOverlay(root, driver string) Check {
	c := Check{Name: "overlay"}
	filesystems, err := read(root, "/proc/filesystems")
	if err != nil {
		c.Status, c.Found = Unknown, err.Error()
		c.Means = "containerd inside the nodes stacks images with overlay"
		c.Do = "check with: grep overlay /proc/filesystems"
		return c
	}
	switch {
	case slices.Contains(strings.Fields(filesystems), overlay):
		c.Status, c.Found = OK, "the kernel has it"
		if driver != "" && !strings.HasPrefix(driver, overlay) {
			c.Status = Warn
			c.Found += ", but the engine stores images with " + driver
			c.Means = "a node may take a whole copy of its image, in space and in time"
			c.Do = "put the engine's data on ext4 or xfs and let it choose its storage driver"
			break
		}
		if driver != "" {
			c.Found += "; the engine stores images with " + driver
		}
	case overlayModule(root):
		c.Status, c.Found = Warn, "a kernel module that is not loaded"
		c.Means = "containerd inside the nodes stacks images with overlay, and a node may not load the module itself"
		c.Do = "as root: modprobe overlay"
	default:
		c.Status, c.Found = Fail, "the kernel does not have it"
		c.Means = "containerd inside the nodes cannot unpack an image"
		c.Do = "boot a kernel with CONFIG_OVERLAY_FS"
	}
	return c
}

func overlayModule(root string) bool {
	release, err := read(root, "/proc/sys/kernel/osrelease")
	if err != nil {
		return false
	}
	modules, err := read(root, filepath.Join("/lib/modules", release, "modules.dep"))
	return err == nil && strings.Contains(modules, "/overlay.ko")
}

const loopControl = "/dev/loop-control"

// openLoopControl opens what mount -o loop opens.
func openLoopControl(root string) error {
	f, err := os.OpenFile(filepath.Join(root, loopControl), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

func checkLoop(err error) Check {
	c := Check{Name: "loop devices", Means: "an outage cannot lose what was not on disk: nodes get no disk of their own"}
	switch {
	case err == nil:
		return Check{Name: c.Name, Status: OK, Found: loopControl + " is usable"}
	case errors.Is(err, fs.ErrPermission):
		c.Status, c.Found, c.Do = Warn, "no permission to use "+loopControl, "run as root"
	case errors.Is(err, fs.ErrNotExist):
		c.Status, c.Found, c.Do = Fail, "there is no "+loopControl, "as root: modprobe loop; in a container, give it the devices of the host"
	default:
		c.Status, c.Found, c.Do = Unknown, err.Error(), "run as root to find out"
	}
	return c
}

// inotifyLimits are what kind recommends under "too many open files": every
// node's systemd, kubelet and containerd draw from the same limits.
var inotifyLimits = []struct {
	name string
	want int
}{
	{"max_user_watches", 524288},
	{"max_user_instances", 512},
}

func checkInotify(root string) Check {
	c := Check{Name: "inotify", Status: OK}
	var found, low []string
	for _, limit := range inotifyLimits {
		text, err := read(root, "/proc/sys/fs/inotify/"+limit.name)
		if err != nil {
			return Check{Name: c.Name, Status: Unknown, Found: err.Error(), Means: "nodes may fail with too many open files", Do: "run as root to find out"}
		}
		value, err := strconv.Atoi(text)
		if err != nil {
			return Check{
				Name: c.Name, Status: Unknown, Found: fmt.Sprintf("%s is %q", limit.name, text), Means: "nodes may fail with too many open files",
				Do: "check with: sysctl fs.inotify",
			}
		}
		found = append(found, fmt.Sprintf("%s %d", limit.name, value))
		if value < limit.want {
			low = append(low, fmt.Sprintf("fs.inotify.%s=%d", limit.name, limit.want))
		}
	}
	c.Found = strings.Join(found, ", ")
	if len(low) > 0 {
		c.Status = Warn
		c.Means = "with several nodes, pods or kubelets may fail with too many open files"
		c.Do = "as root: sysctl -w " + strings.Join(low, " ")
	}
	return c
}
