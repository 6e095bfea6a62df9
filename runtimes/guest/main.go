// Command init is all of user space that is rouse's in a microvm: it starts the actor's program,
// passes its files and output on to the worker's side, and wakes it when the machine goes on from
// an image. It is process 1, and its end is the machine's.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

const (
	worker = "10.209.0.1"
	own    = "10.209.0.2"
	// The program cannot bind it: it has no rights, and the number is below 1024.
	port = "1"
)

// Ask is one call of the worker's; which fields count, `Do` says.
type Ask struct {
	Do      string          `json:"do"`
	Time    int64           `json:"time"`    // now, in nanoseconds
	Entropy []byte          `json:"entropy"` // of the host, for this kernel alone
	About   json.RawMessage `json:"about"`   // of actor.json
	Woken   bool            `json:"woken"`   // it goes on from an image, not from a freeze
	Signal  int             `json:"signal"`
	Start   *Start          `json:"start"`
}

// Answer ends a call; an error says in words what could not be done.
type Answer struct {
	Error string `json:"error,omitempty"`
}

func main() {
	if os.Args[0] == become {
		os.NewFile(3, "failing").WriteString(turn(os.Args[1:]).Error())
		os.Exit(127)
	}
	if err := boot(); err != nil {
		os.Stderr.WriteString("rouse: " + err.Error() + "\n")
		end()
	}
	listener, err := net.Listen("tcp4", own+":"+port)
	if err != nil {
		os.Stderr.WriteString("rouse: " + err.Error() + "\n")
		end()
	}
	machine := newMachine()
	for {
		conn, err := listener.Accept()
		if err != nil {
			continue
		}
		// The program is in here too, and could knock: but not from the worker's address.
		if host, _, _ := net.SplitHostPort(conn.RemoteAddr().String()); host != worker {
			conn.Close()
			continue
		}
		go machine.serve(conn)
	}
}

func (m *machine) serve(conn net.Conn) {
	reader := bufio.NewReader(conn)
	line, err := reader.ReadBytes('\n')
	var ask Ask
	if err == nil {
		err = json.Unmarshal(line, &ask)
	}
	if err == nil && ask.Do == "attend" {
		m.attend(conn, reader)
		return
	}
	if err == nil {
		err = m.do(&ask)
	}
	var answer Answer
	if err != nil {
		answer.Error = err.Error()
	}
	told, _ := json.Marshal(answer)
	conn.Write(append(told, '\n'))
	conn.Close()
}

func (m *machine) do(ask *Ask) error {
	switch ask.Do {
	case "hello":
		return nil
	case "start":
		renew(ask)
		return m.start(ask)
	case "quiet":
		return m.quiet()
	case "resume":
		renew(ask)
		if ask.About != nil {
			if err := tell(ask.About); err != nil {
				return err
			}
		}
		m.resume()
		if ask.Woken {
			// Before the worker lets the first request in.
			return m.signal(syscall.SIGURG)
		}
		return nil
	case "signal":
		return m.signal(syscall.Signal(ask.Signal))
	}
	return errors.New("no such call: " + ask.Do)
}

// renew sets the clock, and stirs what is the host's into this kernel's generator: two machines
// that go on from one image draw different numbers from here on.
func renew(ask *Ask) {
	if ask.Time > 0 {
		now := syscall.NsecToTimeval(ask.Time)
		syscall.Settimeofday(&now)
	}
	if len(ask.Entropy) == 0 {
		return
	}
	file, err := os.OpenFile("/dev/urandom", os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer file.Close()
	const addEntropy, reseed = 0x40085203, 0x5207 // RNDADDENTROPY, RNDRESEEDCRNG of random(4)
	pool := make([]byte, 8+len(ask.Entropy))
	*(*int32)(unsafe.Pointer(&pool[0])) = int32(len(ask.Entropy) * 8)
	*(*int32)(unsafe.Pointer(&pool[4])) = int32(len(ask.Entropy))
	copy(pool[8:], ask.Entropy)
	ioctl(file.Fd(), addEntropy, unsafe.Pointer(&pool[0]))
	ioctl(file.Fd(), reseed, nil)
}

func ioctl(fd uintptr, request uintptr, argument unsafe.Pointer) error {
	if _, _, number := syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(argument)); number != 0 {
		return number
	}
	return nil
}

// end turns the machine off. Its VMM takes a restart for the end.
func end() {
	syscall.Sync()
	syscall.Reboot(syscall.LINUX_REBOOT_CMD_RESTART)
	for {
		time.Sleep(time.Hour)
	}
}

func words(path string) []string {
	data, _ := os.ReadFile(path)
	return strings.Fields(string(data))
}
