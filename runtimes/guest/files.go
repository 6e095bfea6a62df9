package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// Frames between this machine and its attendant on the worker's side: a kind, a length, a body.
const (
	question = 'Q' // to it: a request of this kernel's for a file
	reply    = 'R' // from it
	output   = 'O' // to it: what the program printed
	exited   = 'X' // to it: how the program ended
	taken    = 'A' // from it: that output or end is in good hands
)

const (
	mostBytes = 128 << 10 // of file in one request, as the attendant agrees
	fuseBytes = mostBytes + 4096
	quietFor  = 5 * time.Second
)

// Of a request's head, in fuse.h: those that are not for the attendant to answer.
const (
	opForget      = 2
	opInterrupt   = 36
	opIoctl       = 39
	opBatchForget = 42
)

// link is the way to the attendant. While it is quiet nothing is under way on it, so that an image
// of the machine holds no half of a conversation; after a restore another attendant takes over.
type link struct {
	lock    sync.Mutex
	changed *sync.Cond
	conn    net.Conn
	isQuiet bool
	waiting int  // requests without their reply
	owed    bool // output that was not taken yet
	fuse    int  // descriptor; 0: not open yet
}

func newLink() *link {
	l := &link{}
	l.changed = sync.NewCond(&l.lock)
	return l
}

// attend serves as the attendant's connection, until it breaks or another takes its place.
func (l *link) attend(conn net.Conn, reader *bufio.Reader) {
	l.lock.Lock()
	if l.conn != nil {
		l.conn.Close()
	}
	l.conn = conn
	l.changed.Broadcast()
	l.lock.Unlock()
	head := make([]byte, 5)
	for {
		if _, err := io.ReadFull(reader, head); err != nil {
			return
		}
		size := binary.LittleEndian.Uint32(head[1:])
		if size > fuseBytes {
			conn.Close()
			return
		}
		body := make([]byte, size)
		if _, err := io.ReadFull(reader, body); err != nil {
			return
		}
		l.take(head[0], body)
	}
}

func (l *link) take(kind byte, body []byte) {
	l.lock.Lock()
	fuse := l.fuse
	if kind == reply {
		l.waiting--
	} else {
		l.owed = false
	}
	l.changed.Broadcast()
	l.lock.Unlock()
	if kind == reply && fuse != 0 {
		// Refused where the request was given up meanwhile: then nobody wants it.
		syscall.Write(fuse, body)
	}
}

// send waits for its turn and passes one frame on. An answered one counts until its answer.
func (l *link) send(kind byte, body []byte, isAnswered bool) {
	frame := make([]byte, 5+len(body))
	frame[0] = kind
	binary.LittleEndian.PutUint32(frame[1:], uint32(len(body)))
	copy(frame[5:], body)
	l.lock.Lock()
	defer l.lock.Unlock()
	for l.isQuiet || l.conn == nil || (kind != question && l.owed) {
		l.changed.Wait()
	}
	if kind != question {
		l.owed = true
	} else if isAnswered {
		l.waiting++
	}
	l.conn.Write(frame)
}

// settled waits until all output was taken.
func (l *link) settled(within time.Duration) bool {
	return l.wait(within, func() bool { return !l.owed })
}

func (l *link) wait(within time.Duration, is func() bool) bool {
	over := false
	timer := time.AfterFunc(within, func() {
		l.lock.Lock()
		over = true
		l.changed.Broadcast()
		l.lock.Unlock()
	})
	defer timer.Stop()
	l.lock.Lock()
	defer l.lock.Unlock()
	for !is() && !over {
		l.changed.Wait()
	}
	return is()
}

func (l *link) quiet() error {
	l.lock.Lock()
	l.isQuiet = true
	l.lock.Unlock()
	if !l.wait(quietFor, func() bool { return l.waiting == 0 && !l.owed }) {
		return errors.New("files are still asked for")
	}
	return nil
}

func (l *link) resume() {
	l.lock.Lock()
	l.isQuiet = false
	l.changed.Broadcast()
	l.lock.Unlock()
}

// open mounts what the attendant serves, and passes this kernel's questions on to it from now on.
func (l *link) open(place string) error {
	// Not by os: it would make it one that never waits.
	fuse, err := syscall.Open("/dev/fuse", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	l.lock.Lock()
	l.fuse = fuse
	l.lock.Unlock()
	options := "fd=" + itoa(fuse) +
		",rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions,max_read=" + itoa(mostBytes)
	if err := mount("files", place, "fuse", syscall.MS_NOSUID|syscall.MS_NODEV, options); err != nil {
		return err
	}
	go l.ask(fuse)
	return nil
}

func (l *link) ask(fuse int) {
	buffer := make([]byte, fuseBytes)
	for {
		size, err := syscall.Read(fuse, buffer)
		if err == syscall.EINTR || err == syscall.ENOENT || err == syscall.EAGAIN {
			continue
		}
		if err != nil || size < 40 {
			return
		}
		switch binary.LittleEndian.Uint32(buffer[4:]) {
		case opInterrupt: // answers come soon enough
		case opIoctl: // none of these files is a terminal, which is what is asked
			refuse := make([]byte, 16)
			binary.LittleEndian.PutUint32(refuse, 16)
			binary.LittleEndian.PutUint32(refuse[4:], ^uint32(syscall.ENOTTY)+1) // negative
			copy(refuse[8:], buffer[8:16])
			syscall.Write(fuse, refuse)
		case opForget, opBatchForget:
			l.send(question, buffer[:size], false)
		default:
			l.send(question, buffer[:size], true)
		}
	}
}
