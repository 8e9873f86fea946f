// The node of TestReal: its first process watches its neighbours, one below it, in
// a control group below as a pod's, writes. What they see goes to /seen, which is
// no disk of the node.
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	beat    = 10 * time.Millisecond // between two signs of life, and two records
	writers = 2
	port    = ":7000"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "write" {
		write(os.Args[2])
	}
	boot := bootNumber()
	go serve()
	go stamp()
	for _, neighbour := range strings.Fields(os.Getenv("NEIGHBOURS")) {
		go watch(neighbour)
	}
	child := exec.Command(os.Args[0], "write", boot)
	see("errors", fmt.Sprintf("the writer of boot %s ended: %v", boot, child.Run()))
}

// bootNumber counts the starts of the node.
func bootNumber() string {
	found, _ := filepath.Glob("/seen/boot.*")
	boot := fmt.Sprint(len(found) + 1)
	must(os.WriteFile("/seen/boot."+boot, nil, 0o644))
	return boot
}

func see(file, line string) {
	f, err := os.OpenFile(filepath.Join("/seen", file), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	must(err)
	_, err = fmt.Fprintln(f, time.Now().UTC().Format(time.RFC3339Nano), line)
	must(errors.Join(err, f.Close()))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// stamp writes down the time, again and again, into memory that outlives the node.
func stamp() {
	f, err := os.OpenFile("/seen/alive", os.O_CREATE|os.O_RDWR, 0o644)
	must(err)
	const size = 8
	must(f.Truncate(size))
	shared, err := syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	must(err)
	for {
		binary.LittleEndian.PutUint64(shared, uint64(time.Now().UnixNano()))
		time.Sleep(time.Millisecond)
	}
}

// serve says that this node lives.
func serve() {
	listener, err := net.Listen("tcp", port)
	must(err)
	for {
		conn, err := listener.Accept()
		must(err)
		go func() {
			for {
				if _, err := conn.Write([]byte{1}); err != nil {
					return
				}
				time.Sleep(beat)
			}
		}()
	}
}

// watch tells of a neighbour that was seen to live and does not any more.
func watch(name string) {
	for {
		conn, err := net.Dial("tcp", name+port)
		if err != nil {
			time.Sleep(beat) // it starts yet
			continue
		}
		for one := make([]byte, 1); err == nil; {
			_, err = conn.Read(one)
		}
		see("errors", fmt.Sprintf("saw %s die: %v", name, err))
	}
}

func write(boot string) {
	for _, group := range []string{"/sys/fs/cgroup/freezer/pod", "/sys/fs/cgroup/pod"} {
		if err := os.MkdirAll(group, 0o755); err == nil {
			if os.WriteFile(group+"/cgroup.procs", []byte("0"), 0o644) == nil {
				see("group", group)
				break
			}
		}
	}
	failed := make(chan error)
	go func() { failed <- leave(boot) }()
	for i := range writers {
		go func() { failed <- appendTo(fmt.Sprintf("%d.%s", i, boot)) }()
	}
	see("errors", (<-failed).Error())
	os.Exit(1)
}

// leave writes a file each second that nobody syncs, and tells of the last one.
func leave(boot string) error {
	for n := 1; ; n++ {
		name := fmt.Sprintf("unsynced.%s.%d", boot, n)
		if err := os.WriteFile("/var/lib/longhorn/"+name, []byte("not synced"), 0o644); err != nil {
			return err
		}
		if err := os.WriteFile("/seen/unsynced", []byte(name), 0o644); err != nil {
			return err
		}
		time.Sleep(time.Second)
	}
}

// appendTo appends numbered records and acknowledges each that is synced.
func appendTo(name string) error {
	log, err := os.Create("/var/lib/longhorn/log." + name)
	if err != nil {
		return err
	}
	dir, err := os.Open("/var/lib/longhorn")
	if err != nil {
		return err
	}
	acknowledged, err := os.Create("/seen/acknowledged." + name)
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		if _, err := fmt.Fprintf(log, "%08d\n", n); err != nil {
			return err
		}
		if err := log.Sync(); err != nil {
			return err
		}
		if n == 1 {
			if err := dir.Sync(); err != nil {
				return err
			}
		}
		if _, err := acknowledged.WriteAt(fmt.Appendf(nil, "%08d", n), 0); err != nil {
			return err
		}
		time.Sleep(beat)
	}
}
