package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"example.com/goldenpath/chaos/kafka"
	"example.com/goldenpath/chaos/proxy/internal/port"
)

// mostBrokers bounds the ports that answers of a Kafka cluster can open.
const mostBrokers = 64

// endpoint is a port of a proxy and what is behind it.
type endpoint struct {
	proxy  *Proxy
	port   *port.Port
	broker string // the dependency; empty is the proxy's
}

// upstream is where connections to this port are led.
func (ep *endpoint) upstream() string {
	if ep.broker != "" {
		return ep.broker
	}
	return ep.proxy.Upstream()
}

// public is the address that clients are told. Brokers but the one behind the
// proxy's own port have ports of their own at the same host.
func (ep *endpoint) public() string {
	addr := ep.port.Addr()
	if told := ep.proxy.public; told != "" {
		if ep.broker == "" {
			return told
		}
		if host, _, err := net.SplitHostPort(told); err == nil {
			return net.JoinHostPort(host, strconv.Itoa(addr.Port))
		}
	}
	if addr.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(addr.Port))
	}
	return addr.String()
}

// set opens or closes the port. The engine must not be closed.
func (ep *endpoint) set(open bool) error {
	if !open {
		return ep.port.Shut()
	}
	l, err := ep.port.Open()
	if l != nil {
		ep.serve(l)
	}
	return err
}

// serve accepts connections in a goroutine until the listener is closed. The
// engine must not be closed.
func (ep *endpoint) serve(l *net.TCPListener) {
	ep.proxy.engine.tasks.Go(func() { ep.accept(l) })
}

// accept is the goroutine of serve.
func (ep *endpoint) accept(l *net.TCPListener) {
	const shortest, longest = 5 * time.Millisecond, time.Second
	pause := shortest
	for {
		client, err := l.AcceptTCP()
		switch {
		case err == nil:
			pause = shortest
			newConnection(ep, client).start()
			continue
		case errors.Is(err, net.ErrClosed):
			return
		}
		// Most likely there are no file descriptors left. Others may end soon.
		e := ep.proxy.engine
		e.tell(Event{Kind: ListenFailed, Proxy: ep.proxy.name, Err: fmt.Errorf("accept: %w", err)})
		select {
		case <-time.After(pause):
			pause = min(2*pause, longest)
		case <-e.done:
			return
		}
	}
}

// brokers gives each broker of a Kafka cluster an address of the proxy, for one
// connection. It implements kafka.Directory.
type brokers struct {
	*Proxy
	ctx context.Context // ends with the connection
}

// Brokers remembers the broker of a cluster that has only one: whatever it
// calls itself, it is the one behind the proxy.
func (b brokers) Brokers(addresses []string) {
	b.doors.Lock()
	defer b.doors.Unlock()
	b.listed, b.only = true, ""
	if len(addresses) == 1 {
		b.only = loopback(addresses[0])
	}
}

// Local returns the proxy's address for the broker, and opens a port for one
// that has none yet.
func (b brokers) Local(address string) (string, error) {
	address = loopback(address)
	if address == loopback(b.Upstream()) {
		return b.main.public(), nil
	}
	b.learn()
	b.doors.Lock()
	defer b.doors.Unlock()
	if address == b.only {
		return b.main.public(), nil
	}
	if ep, ok := b.brokers[address]; ok {
		return ep.public(), nil
	}
	ep, err := b.open(address)
	if err != nil {
		return "", fmt.Errorf("open a port for broker %q: %w", address, err)
	}
	b.brokers[address] = ep
	return ep.public(), nil
}

// learn asks the cluster for its brokers unless a client has: one whose first
// question is for a group's coordinator gets a broker's address without the list
// that tells whether there are others. When it fails, for a cluster that wants
// a password first, the broker is taken for one of several until a client asks.
func (b brokers) learn() {
	b.doors.Lock()
	listed := b.listed
	b.doors.Unlock()
	if listed {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, b.engine.config.DialTimeout)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", b.Upstream())
	if err != nil {
		return
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	if addresses, err := kafka.List(c); err == nil {
		b.Brokers(addresses)
	}
}

// open opens a port for a broker, at the interface that the proxy listens at.
// b.doors is held.
func (b brokers) open(address string) (*endpoint, error) {
	switch {
	case b.isClosed():
		return nil, ErrClosed
	case !b.Enabled():
		return nil, errors.New("the proxy is down")
	case len(b.brokers) >= mostBrokers:
		return nil, fmt.Errorf("there are %d already", mostBrokers)
	}
	own := b.main.port.Addr()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: own.IP, Zone: own.Zone})
	if err != nil {
		return nil, err
	}
	ep := &endpoint{proxy: b.Proxy, port: port.New(l), broker: address}
	ep.serve(l)
	return ep, nil
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

// spelling gives the addresses that are the same to a listener one spelling.
func spelling(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("0.0.0.0", port)
	}
	return loopback(address)
}
