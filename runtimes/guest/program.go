package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	files = "/files"
	root  = "/actor"
	about = "/actor/run/rouse"
)

// Start is what the worker wants to be run, and what it may see.
type Start struct {
	Command []string          `json:"command"`
	Env     []string          `json:"env"`
	Cwd     string            `json:"cwd"`
	User    uint32            `json:"user"`
	Links   map[string]string `json:"links"` // place -> target
	Mounts  []Mount           `json:"mounts"`
	Covered []string          `json:"covered"`
	Scratch int64             `json:"scratch"` // bytes of each place that anybody may write
	Limits  map[string]uint64 `json:"limits"`  // resource number -> the most
}

// Mount shows a directory of the attendant's at a place of the program's.
type Mount struct {
	Source string `json:"source"`
	Place  string `json:"place"`
	Write  bool   `json:"write"`
}

type machine struct {
	*link
	program int
}

func newMachine() *machine { return &machine{link: newLink()} }

func (m *machine) start(ask *Ask) error {
	if ask.Start == nil || m.program != 0 {
		return errors.New("nothing to start, or started already")
	}
	if err := m.open(files); err != nil {
		return err
	}
	if err := furnish(ask.Start); err != nil {
		return err
	}
	if err := tell(ask.About); err != nil {
		return err
	}
	return m.run(ask.Start)
}

// furnish makes the root that the program sees. Nothing in it can be written but what is said.
func furnish(start *Start) error {
	if err := mount("actor", root, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=755,size=4m"); err != nil {
		return err
	}
	for place, target := range start.Links {
		if err := os.Symlink(target, root+place); err != nil {
			return err
		}
	}
	size := ",size=" + strconv.FormatInt(start.Scratch, 10)
	const plain = syscall.MS_NOSUID | syscall.MS_NODEV
	if err := mount("proc", root+"/proc", "proc", plain|syscall.MS_NOEXEC, "hidepid=2"); err != nil {
		return err
	}
	for _, place := range []string{"/tmp", "/var/tmp"} {
		if err := mount("scratch", root+place, "tmpfs", plain, "mode=1777"+size); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(about, 0o755); err != nil {
		return err
	}
	if err := devices(size); err != nil {
		return err
	}
	for _, place := range []string{"/sys", "/home", "/root"} {
		os.MkdirAll(root+place, 0o755)
	}
	if err := mount("about", about, "tmpfs", plain|syscall.MS_NOEXEC, "mode=755,size=1m"); err != nil {
		return err
	}
	for _, each := range start.Mounts {
		if err := bind(each); err != nil {
			return err
		}
	}
	for _, place := range start.Covered {
		if err := mount("covered", root+place, "tmpfs", syscall.MS_RDONLY, "mode=700,size=4k"); err != nil {
			return err
		}
	}
	return syscall.Mount("", root, "", syscall.MS_REMOUNT|syscall.MS_RDONLY|plain, "")
}

func bind(each Mount) error {
	place := filepath.Join(root, each.Place)
	if err := mount(filepath.Join(files, each.Source), place, "", syscall.MS_BIND, ""); err != nil {
		return err
	}
	flags := uintptr(syscall.MS_REMOUNT | syscall.MS_BIND | syscall.MS_NOSUID | syscall.MS_NODEV)
	if !each.Write {
		flags |= syscall.MS_RDONLY
	}
	return syscall.Mount("", place, "", flags, "")
}

func devices(size string) error {
	dev := root + "/dev"
	if err := mount("dev", dev, "tmpfs", syscall.MS_NOSUID|syscall.MS_NOEXEC, "mode=755,size=64k"); err != nil {
		return err
	}
	for name, minor := range map[string]int{"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9} {
		if err := device(filepath.Join(dev, name), 1<<8|minor); err != nil {
			return err
		}
	}
	if err := device(filepath.Join(dev, "tty"), 5<<8); err != nil {
		return err
	}
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1",
		"stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx",
	} {
		if err := os.Symlink(target, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	const plain = syscall.MS_NOSUID | syscall.MS_NODEV
	if err := mount("shm", dev+"/shm", "tmpfs", plain, "mode=1777"+size); err != nil {
		return err
	}
	if err := mount("pts", dev+"/pts", "devpts", syscall.MS_NOSUID|syscall.MS_NOEXEC, "mode=600,ptmxmode=666"); err != nil {
		return err
	}
	return syscall.Mount("", dev, "", syscall.MS_REMOUNT|syscall.MS_RDONLY|syscall.MS_NOSUID|syscall.MS_NOEXEC, "")
}

func device(place string, number int) error {
	if err := syscall.Mknod(place, syscall.S_IFCHR|0o666, number); err != nil {
		return err
	}
	return os.Chmod(place, 0o666) // whatever the umask
}

// tell writes who the actor is now. Whole or not at all: the program may be reading it.
func tell(told json.RawMessage) error {
	if err := os.WriteFile(about+"/.actor.json", told, 0o644); err != nil {
		return err
	}
	return os.Rename(about+"/.actor.json", about+"/actor.json")
}

// run starts this program anew as the actor's last step before its own: the files of the actor's
// program are served through here, and here must not wait for them.
func (m *machine) run(start *Start) error {
	path, err := find(start)
	if err != nil {
		return err
	}
	plan, err := json.Marshal(start)
	if err != nil {
		return err
	}
	reading, writing, err := os.Pipe()
	if err != nil {
		return err
	}
	defer writing.Close()
	failed, failing, err := os.Pipe()
	if err != nil {
		return err
	}
	defer failed.Close()
	command := &exec.Cmd{
		Path: "/init", Args: []string{become, path, string(plan)},
		Stdout: writing, Stderr: writing, ExtraFiles: []*os.File{failing},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	err = command.Start()
	failing.Close()
	if err != nil {
		return err
	}
	m.program = command.Process.Pid
	if why, _ := io.ReadAll(failed); len(why) > 0 {
		return fmt.Errorf("cannot start %q: %s", start.Command[0], why)
	}
	go m.follow(reading)
	return nil
}

// become turns this process into the actor's. Descriptor 3 is told why not.
const become = "become"

func turn(words []string) error {
	var start Start
	if err := json.Unmarshal([]byte(words[1]), &start); err != nil {
		return err
	}
	syscall.CloseOnExec(3)
	for number, most := range start.Limits {
		resource, err := strconv.Atoi(number)
		if err != nil {
			return err
		}
		if err := syscall.Setrlimit(resource, &syscall.Rlimit{Cur: most, Max: most}); err != nil {
			return err
		}
	}
	user := int(start.User)
	for _, step := range []func() error{
		func() error { return syscall.Chroot(root) },
		func() error { return syscall.Setgroups(nil) },
		func() error { return syscall.Setresgid(user, user, user) },
		func() error { return syscall.Setresuid(user, user, user) },
		func() error { return syscall.Chdir(start.Cwd) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return syscall.Exec(words[0], start.Command, start.Env)
}

// find looks for the program as execvp(3) does, in the root that it will see.
func find(start *Start) (string, error) {
	name := start.Command[0]
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, word := range start.Env {
		if !strings.HasPrefix(word, "PATH=") {
			continue
		}
		for _, place := range strings.Split(word[len("PATH="):], ":") {
			found := filepath.Join(place, name)
			if isProgram(found) {
				return found, nil
			}
		}
	}
	return "", fmt.Errorf("cannot start %q: no such program", name)
}

// isProgram: links in the program's root lead elsewhere from here, so it is asked from inside.
func isProgram(path string) bool {
	for hops := 0; hops < 40; hops++ {
		about, err := os.Lstat(root + path)
		if err != nil {
			return false
		}
		if about.Mode()&os.ModeSymlink == 0 {
			return about.Mode().IsRegular() && about.Mode()&0o111 != 0
		}
		target, err := os.Readlink(root + path)
		if err != nil {
			return false
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = filepath.Clean(target)
	}
	return false
}

// signal goes to every process but this one.
func (m *machine) signal(number syscall.Signal) error {
	if err := syscall.Kill(-1, number); err != nil && err != syscall.ESRCH {
		return err
	}
	return nil
}

// follow passes the program's output on and waits for its end, which is the machine's.
func (m *machine) follow(reading *os.File) {
	done := make(chan struct{})
	go func() {
		buffer := make([]byte, 32<<10)
		for {
			size, err := reading.Read(buffer)
			if size > 0 {
				m.send(output, buffer[:size], false)
			}
			if err != nil {
				close(done)
				return
			}
		}
	}()
	status := m.reap()
	// The main program is the actor: what it left behind serves nobody.
	syscall.Kill(-1, syscall.SIGKILL)
	select {
	case <-done:
	case <-time.After(2 * time.Second):
	}
	told := map[string]any{"oom": status.Signaled() && status.Signal() == syscall.SIGKILL && sawOOM()}
	if status.Signaled() {
		told["signal"] = int(status.Signal())
	} else {
		told["code"] = status.ExitStatus()
	}
	last, _ := json.Marshal(told)
	m.send(exited, last, false)
	m.settled(2 * time.Second)
	end()
}

// reap waits for every process, as the first one must, until the program is among them.
func (m *machine) reap() syscall.WaitStatus {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if pid == m.program || err != nil {
			return status
		}
	}
}

func sawOOM() bool {
	found := words("/proc/vmstat")
	for at, word := range found {
		if word == "oom_kill" && at+1 < len(found) {
			return found[at+1] != "0"
		}
	}
	return false
}

func itoa(number int) string { return strconv.Itoa(number) }
