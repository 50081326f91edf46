package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"example.com/goldenpath/chaos"
	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/reload"
)

// ErrEnded says that the supervisor ended while it was asked.
var ErrEnded = errors.New("the supervisor ended while it was asked")

// ErrNoStack says that no supervisor answers at the socket.
var ErrNoStack = &console.Failure{Exit: console.ExitNoStack, Text: "no stack is running here", Hint: "devtool up"}

// Client talks to the supervisor of one worktree.
type Client struct{ http *http.Client }

// Dial returns a client of the socket at path. Whether anyone answers shows at
// the first call.
func Dial(path string) *Client {
	return &Client{&http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			d := net.Dialer{Timeout: 5 * time.Second}
			return d.DialContext(ctx, "unix", path)
		},
	}}}
}

// Close gives the client's connections back.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status asks what runs.
func (c *Client) Status(ctx context.Context) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return call[Status](ctx, c, http.MethodGet, "/v1/status", nil)
}

// Down asks for everything to be taken down, which then is under way.
func (c *Client) Down(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := call[struct{}](ctx, c, http.MethodPost, "/v1/down", nil)
	return err
}

// Reset makes schema and seeds as new.
func (c *Client) Reset(ctx context.Context) (ResetReport, error) {
	return call[ResetReport](ctx, c, http.MethodPost, "/v1/reset", nil)
}

// Seed applies or verifies a data set.
func (c *Client) Seed(ctx context.Context, r SeedRequest) (SeedReport, error) {
	return call[SeedReport](ctx, c, http.MethodPost, "/v1/seed", r)
}

// Restart starts a process or dependency anew; it returns when it is ready.
func (c *Client) Restart(ctx context.Context, name string) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, "/v1/restart/"+url.PathEscape(name), nil)
	return err
}

// ApplyFault makes a fault act.
func (c *Client) ApplyFault(ctx context.Context, s chaos.Spec) (chaos.Fault, error) {
	return call[chaos.Fault](ctx, c, http.MethodPost, "/v1/faults", s)
}

// ClearFaults ends the faults with these ids, or all.
func (c *Client) ClearFaults(ctx context.Context, ids ...string) ([]chaos.Fault, error) {
	q := url.Values{"id": ids}
	return call[[]chaos.Fault](ctx, c, http.MethodDelete, "/v1/faults?"+q.Encode(), nil)
}

// Built reports the end of a build.
func (c *Client) Built(ctx context.Context, r reload.Report) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, "/v1/builds", r)
	return err
}

// Logs calls yield for every line that q selects, until they end, yield fails
// or ctx ends.
func (c *Client) Logs(ctx context.Context, q LogQuery, yield func(Line) error) error {
	v := url.Values{"name": q.Names, "tail": {strconv.Itoa(q.Tail)}}
	if q.Follow {
		v.Set("follow", "1")
	}
	resp, err := c.send(ctx, http.MethodGet, "/v1/logs?"+v.Encode(), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for {
		text, err := lines.ReadBytes('\n')
		if len(text) > 0 && err == nil {
			var l Line
			if err := json.Unmarshal(text, &l); err != nil {
				return fmt.Errorf("read the logs: %w", err)
			}
			if err := yield(l); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil // the supervisor ended
		case err != nil:
			return err
		}
	}
}

func (c *Client) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://devtool"+path, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, ErrNoStack
	}
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) {
		return nil, &console.Failure{Exit: console.ExitNoStack, Hint: "devtool up", Cause: fmt.Errorf("%w: %w", ErrEnded, err)}
	}
	if err != nil {
		return nil, fmt.Errorf("ask the supervisor: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	var f failure
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxBody)).Decode(&f); err != nil || f.Error == "" {
		return nil, fmt.Errorf("ask the supervisor: %s %s: %s", method, path, resp.Status)
	}
	return nil, &console.Failure{Exit: f.Exit, Text: f.Error, Hint: f.Hint}
}

func call[T any](ctx context.Context, c *Client, method, path string, body any) (T, error) {
	var v T
	resp, err := c.send(ctx, method, path, body)
	if err != nil {
		return v, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		return v, fmt.Errorf("ask the supervisor: %w", err)
	}
	return v, nil
}
