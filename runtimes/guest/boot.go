package main

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// boot makes of the bare kernel a machine that can be called: devices, drivers, network.
func boot() error {
	for _, each := range []struct{ kind, place string }{
		{"proc", "/proc"}, {"devtmpfs", "/dev"},
	} {
		if err := mount(each.kind, each.place, each.kind, 0, ""); err != nil {
			return err
		}
	}
	for _, name := range words("/modules/order") {
		if err := load("/modules/" + name); err != nil {
			return fmt.Errorf("module %s: %w", name, err)
		}
	}
	if err := address("lo", net.IPv4(127, 0, 0, 1), net.IPv4(255, 0, 0, 0)); err != nil {
		return err
	}
	if err := address("eth0", net.ParseIP(own), net.IPv4(255, 255, 255, 252)); err != nil {
		return err
	}
	syscall.Sethostname([]byte("actor"))
	return route(net.ParseIP(worker))
}

func mount(source, place, kind string, flags uintptr, options string) error {
	if err := os.MkdirAll(place, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount(source, place, kind, flags, options); err != nil {
		return fmt.Errorf("mount %s: %w", place, err)
	}
	return nil
}

func load(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	none := []byte{0}
	const finitModule = 313 // finit_module(2) on amd64
	_, _, number := syscall.Syscall(finitModule, file.Fd(), uintptr(unsafe.Pointer(&none[0])), 0)
	os.Remove(path)
	if number != 0 && number != syscall.EEXIST {
		return number
	}
	return nil
}

// interfaceRequest is struct ifreq of netdevice(7).
type interfaceRequest struct {
	name [16]byte
	data [24]byte
}

func (r *interfaceRequest) address(ip net.IP) {
	*(*uint16)(unsafe.Pointer(&r.data[0])) = syscall.AF_INET
	copy(r.data[4:8], ip.To4())
}

func address(name string, ip, mask net.IP) error {
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(socket)
	for _, step := range []struct {
		request uintptr
		fill    func(*interfaceRequest)
	}{
		{syscall.SIOCSIFADDR, func(r *interfaceRequest) { r.address(ip) }},
		{syscall.SIOCSIFNETMASK, func(r *interfaceRequest) { r.address(mask) }},
		{syscall.SIOCSIFFLAGS, func(r *interfaceRequest) {
			*(*uint16)(unsafe.Pointer(&r.data[0])) = syscall.IFF_UP | syscall.IFF_RUNNING
		}},
	} {
		request := &interfaceRequest{}
		copy(request.name[:], name)
		step.fill(request)
		if err := ioctl(uintptr(socket), step.request, unsafe.Pointer(request)); err != nil {
			return fmt.Errorf("interface %s: %w", name, err)
		}
	}
	return nil
}

// route sends everything to the gateway. That of the worker's side passes nothing on by itself.
func route(gateway net.IP) error {
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(socket)
	entry := [120]byte{} // struct rtentry of route.h on amd64
	*(*uint16)(unsafe.Pointer(&entry[8])) = syscall.AF_INET
	*(*uint16)(unsafe.Pointer(&entry[24])) = syscall.AF_INET
	copy(entry[28:32], gateway.To4())
	*(*uint16)(unsafe.Pointer(&entry[40])) = syscall.AF_INET
	*(*uint16)(unsafe.Pointer(&entry[56])) = syscall.RTF_UP | syscall.RTF_GATEWAY
	if err := ioctl(uintptr(socket), syscall.SIOCADDRT, unsafe.Pointer(&entry[0])); err != nil {
		return fmt.Errorf("route: %w", err)
	}
	return nil
}
