package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"go.uber.org/zap"
)

const (
	// A header that is not there by then is a slow-loris.
	headerTimeout = 5 * time.Second
	// A body is at most 1 MiB; a client that needs longer holds a connection
	// for nothing.
	bodyTimeout = 10 * time.Second
	// What the answer request_timeout gets to leave, after the request's time
	// is up.
	answerTimeout = 2 * time.Second
	idleTimeout   = 2 * time.Minute
	adminTimeout  = 10 * time.Second
	maxHeader     = 64 << 10
)

// publicServer answers HTTP/1.1 and, without TLS, HTTP/2, which gRPC needs.
// Every phase of a connection has its limit; timeout is that of one request.
func publicServer(h http.Handler, timeout time.Duration) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           h,
		Protocols:         protocols,
		ReadHeaderTimeout: min(headerTimeout, timeout),
		ReadTimeout:       min(bodyTimeout, timeout),
		WriteTimeout:      timeout + answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 250,
			SendPingTimeout:      30 * time.Second,
			PingTimeout:          10 * time.Second,
			WriteByteTimeout:     10 * time.Second,
		},
	}
}

func adminServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       headerTimeout,
		WriteTimeout:      adminTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
	}
}

// open listens on addr for server. variable is the one that holds addr.
func open(ctx context.Context, server *http.Server, variable, addr string, log *zap.Logger) (*door, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		hint := "set " + variable + " to an address of this machine"
		if errors.Is(err, syscall.EADDRINUSE) {
			hint = "stop what listens there, or set " + variable + " to another port"
		}
		return nil, &startError{fmt.Errorf("listen on %s (%s): %w", addr, variable, err), hint}
	}
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	server.BaseContext = func(net.Listener) context.Context { return base }
	// zap refuses levels that do not exist, and this one does.
	server.ErrorLog, _ = zap.NewStdLogAt(log.Named("net/http"), zap.WarnLevel)
	return &door{server: server, listener: listener, cut: cut}, nil
}
