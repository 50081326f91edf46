package proxy

import (
	"fmt"
	"net"
	"strconv"
)

// brokers gives each broker of a Kafka cluster an address of the proxy. It
// implements kafka.Directory.
type brokers struct{ *Proxy }

// Brokers remembers the broker of a cluster that has only one: whatever it
// calls itself, it is the one behind the proxy.
func (b brokers) Brokers(addresses []string) {
	b.doors.Lock()
	defer b.doors.Unlock()
	b.only = ""
	if len(addresses) == 1 {
		b.only = loopback(addresses[0])
	}
}

// Local returns the proxy's address for the broker, and opens a port for one
// that has none yet.
func (b brokers) Local(address string) (string, error) {
	b.doors.Lock()
	defer b.doors.Unlock()
	address = loopback(address)
	if address == loopback(b.Upstream()) {
		return b.main.public(), nil
	}
	if ep, ok := b.brokers[address]; ok {
		return ep.public(), nil
	}
	if address == b.only {
		return b.main.public(), nil
	}
	return b.open(address)
}

// open opens a port for a broker. b.doors is held.
func (b brokers) open(address string) (string, error) {
	b.mu.Lock()
	closed := b.closed
	b.mu.Unlock()
	switch {
	case closed:
		return "", ErrClosed
	case !b.Enabled():
		return "", fmt.Errorf("open a port for broker %s: %s is down", address, b.name)
	case len(b.brokers) >= mostBrokers:
		return "", fmt.Errorf("open a port for broker %s: there are %d already", address, mostBrokers)
	}
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: b.main.addr.IP, Zone: b.main.addr.Zone})
	if err != nil {
		return "", fmt.Errorf("open a port for broker %s: %w", address, err)
	}
	ep := newEndpoint(b.Proxy, l, address)
	b.brokers[address] = ep
	ep.serve()
	return ep.public(), nil
}

// public is the address for clients on this machine.
func (ep *endpoint) public() string {
	if ep.addr.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(ep.addr.Port))
	}
	return ep.addr.String()
}

// loopback gives the names of this machine's loopback interface one spelling,
// so that localhost:9092 and 127.0.0.1:9092 are the same broker.
func loopback(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if host == "localhost" || host == "::1" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
