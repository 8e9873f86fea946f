package doctor

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCgroups(t *testing.T) {
	v1 := func(names ...string) map[string]string {
		files := map[string]string{}
		for _, name := range names {
			files["sys/fs/cgroup/"+name+"/tasks"] = ""
		}
		return files
	}
	v2 := func(controllers string) map[string]string {
		return map[string]string{"sys/fs/cgroup/cgroup.controllers": controllers + "\n"}
	}
	for name, tc := range map[string]struct {
		files map[string]string
		want  Status
		found string
	}{
		"v2":                     {v2("cpuset cpu io memory hugetlb pids"), OK, "version 2"},
		"v2 without memory":      {v2("cpuset cpu io pids"), Fail, "version 2 without memory"},
		"v2 without anything":    {v2(""), Fail, "cpu, cpuset, memory, pids"},
		"v1":                     {v1("cpu", "cpuacct", "cpuset", "memory", "pids", "devices", "systemd"), OK, "version 1"},
		"v1, joined controllers": {v1("cpu,cpuacct", "cpuset", "memory", "pids", "devices", "systemd"), OK, "version 1"},
		"v1 without pids":        {v1("cpu,cpuacct", "cpuset", "memory", "devices", "systemd"), Fail, "version 1 without pids"},
		"v1 without systemd":     {v1("cpu", "cpuacct", "cpuset", "memory", "pids", "devices"), Warn, "no systemd hierarchy"},
		"unreadable":             {nil, Unknown, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) { expect(t, checkCgroups(tree(t, tc.files)), tc.want, tc.found) })
	}
	t.Run("not mounted", func(t *testing.T) {
		root := t.TempDir()
		if err := os.MkdirAll(filepath.Join(root, cgroupRoot), privateDir); err != nil {
			t.Fatal(err)
		}
		expect(t, checkCgroups(root), Fail, "no control groups")
	})
}

func TestOverlay(t *testing.T) {
	const (
		with    = "nodev\tproc\n\text4\nnodev\toverlay\n"
		without = "nodev\tproc\n\text4\nnodev\toverlayish\n"
	)
	module := map[string]string{
		"proc/filesystems": without, "proc/sys/kernel/osrelease": "6.1.0-x\n",
		"lib/modules/6.1.0-x/modules.dep": "kernel/fs/overlayfs/overlay.ko:\n",
	}
	for name, tc := range map[string]struct {
		files  map[string]string
		driver string
		want   Status
		found  string
	}{
		"there":                {map[string]string{"proc/filesystems": with}, "", OK, "the kernel has it"},
		"there and used":       {map[string]string{"proc/filesystems": with}, "overlay2", OK, "overlay2"},
		"there and used (new)": {map[string]string{"proc/filesystems": with}, "overlayfs", OK, "overlayfs"},
		"there and not used":   {map[string]string{"proc/filesystems": with}, "vfs", Warn, "vfs"},
		"a module":             {module, "", Warn, "not loaded"},
		"not there":            {map[string]string{"proc/filesystems": without}, "", Fail, "does not have it"},
		"unreadable":           {nil, "", Unknown, "/proc/filesystems"},
	} {
		t.Run(name, func(t *testing.T) { expect(t, checkOverlay(tree(t, tc.files), tc.driver), tc.want, tc.found) })
	}
}

func TestLoop(t *testing.T) {
	expect(t, checkLoop(nil), OK, "usable")
	expect(t, checkLoop(fmt.Errorf("open: %w", fs.ErrPermission)), Warn, "no permission")
	expect(t, checkLoop(errPlain), Unknown, "something else")
	expect(t, checkLoop(openLoopControl(t.TempDir())), Fail, "there is no /dev/loop-control")
	expect(t, checkLoop(openLoopControl(tree(t, map[string]string{"dev/loop-control": ""}))), OK, "usable")
}

func TestInotify(t *testing.T) {
	limits := func(watches, instances string) string {
		return tree(t, map[string]string{
			"proc/sys/fs/inotify/max_user_watches": watches, "proc/sys/fs/inotify/max_user_instances": instances,
		})
	}
	expect(t, checkInotify(limits("524288\n", "512\n")), OK, "max_user_watches 524288, max_user_instances 512")
	low := checkInotify(limits("524288\n", "128\n"))
	expect(t, low, Warn, "max_user_instances 128")
	if !strings.HasSuffix(low.Do, "sysctl -w fs.inotify.max_user_instances=512") {
		t.Errorf("the remedy names more or less than the low limit: %s", low.Do)
	}
	expect(t, checkInotify(limits("8192", "128")), Warn, "max_user_watches 8192")
	expect(t, checkInotify(limits("many", "512")), Unknown, `"many"`)
	expect(t, checkInotify(t.TempDir()), Unknown, "max_user_watches")
}

func TestDebianLike(t *testing.T) {
	for text, want := range map[string]bool{
		"ID=debian\n": true, "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n": true, "NAME=debian\nID=fedora\n": false, "": false,
	} {
		if got := debianLike(tree(t, map[string]string{"etc/os-release": text})); got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
	}
	if debianLike(t.TempDir()) {
		t.Error("a machine without os-release is not Debian")
	}
}
