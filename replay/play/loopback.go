package play

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"example.com/goldenpath/replay"
)

// maxHeaderBytes bounds the header of a response.
const maxHeaderBytes = 1 << 20

// transport returns a transport that connects to the verified loopback
// addresses of the target, whatever a name resolves to later, and uses no proxy.
func (o Options) transport(ctx context.Context, ex *replay.Exchange) (*http.Transport, error) {
	addresses, err := o.verify(ctx, o.Target)
	if err != nil {
		return nil, err
	}
	t := &http.Transport{}
	if o.Client != nil && o.Client.Transport != nil {
		lent, ok := o.Client.Transport.(*http.Transport)
		if !ok {
			return nil, &RefusedError{Reason: fmt.Sprintf(
				"a transport of type %T cannot be kept to loopback addresses", o.Client.Transport)}
		}
		t = lent.Clone()
	}
	t.Proxy = nil
	t.DisableCompression = true // send the recorded Accept-Encoding, or none
	t.MaxResponseHeaderBytes = maxHeaderBytes
	t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, addresses) }
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	t.TLSClientConfig.ServerName = o.Target.Hostname()
	// Both would dial on their own.
	t.DialTLSContext = nil
	t.TLSNextProto = nil
	t.Protocols = new(http.Protocols)
	if needsHTTP2(ex) {
		t.Protocols.SetUnencryptedHTTP2(true)
		t.Protocols.SetHTTP2(true)
	} else {
		t.Protocols.SetHTTP1(true)
	}
	return t, nil
}

// needsHTTP2 reports whether the request is one of gRPC, which has no other
// transport. gRPC-Web and Connect work over any.
func needsHTTP2(ex *replay.Exchange) bool {
	mediaType := ex.Request.Header.Get("Content-Type")
	return strings.HasPrefix(mediaType, "application/grpc") && !strings.HasPrefix(mediaType, "application/grpc-web")
}

// verify returns the addresses of the target, all of which are loopback.
func (o Options) verify(ctx context.Context, target *url.URL) ([]netip.AddrPort, error) {
	if target == nil {
		return nil, &RefusedError{Reason: "there is no target"}
	}
	if target.Scheme != "http" && target.Scheme != "https" {
		return nil, &RefusedError{Reason: fmt.Sprintf("the target %s is neither http nor https", target.Redacted())}
	}
	port, err := targetPort(target)
	if err != nil {
		return nil, err
	}
	host := target.Hostname()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	ips, err := o.Resolve(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("resolving the target %s: %w", host, err)
	}
	if len(ips) == 0 {
		return nil, &RefusedError{Reason: fmt.Sprintf("the target %s has no address", host)}
	}
	addresses := make([]netip.AddrPort, 0, len(ips))
	for _, ip := range ips {
		ip = ip.Unmap()
		if !ip.IsLoopback() || ip.Zone() != "" {
			return nil, &RefusedError{Reason: fmt.Sprintf("the target %s is at %s, which is not a loopback address", host, ip)}
		}
		addresses = append(addresses, netip.AddrPortFrom(ip, port))
	}
	return addresses, nil
}

func targetPort(target *url.URL) (uint16, error) {
	text := target.Port()
	if text == "" {
		if target.Scheme == "https" {
			return 443, nil
		}
		return 80, nil
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return 0, &RefusedError{Reason: fmt.Sprintf("%q is not a port", text)}
	}
	return uint16(port), nil
}

// resolve asks the system's resolver; an address stands for itself.
func resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// dial connects to the first address that answers.
func dial(ctx context.Context, addresses []netip.AddrPort) (net.Conn, error) {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	var failed error
	for _, a := range addresses {
		conn, err := dialer.DialContext(ctx, "tcp", a.String())
		if err == nil {
			return conn, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}
