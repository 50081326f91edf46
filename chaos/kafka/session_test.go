package kafka_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/twmb/franz-go/pkg/kmsg"

	"example.com/goldenpath/chaos/kafka"
)

// directory moves broker N of the address host:N to 127.0.0.1:10000+N.
type directory struct {
	brokers [][]string
	err     error
}

func (d *directory) Brokers(addresses []string) { d.brokers = append(d.brokers, addresses) }

func (d *directory) Local(address string) (string, error) {
	var n int
	if _, err := fmt.Sscanf(address, "host:%d", &n); err != nil {
		return "", fmt.Errorf("unexpected address %q: %w", address, err)
	}
	return fmt.Sprintf("127.0.0.1:%d", 10000+n), d.err
}

// requestFrame is a request as clients send it.
func requestFrame(r kmsg.Request, version int16, correlation int32) []byte {
	r.SetVersion(version)
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, r, correlation)
}

// responseFrame is a response as brokers send it.
func responseFrame(r kmsg.Response, version int16, correlation int32) []byte {
	r.SetVersion(version)
	body := binary.BigEndian.AppendUint32(nil, uint32(correlation))
	if r.IsFlexible() && r.Key() != kmsg.ApiVersions.Int16() {
		body = append(body, 0)
	}
	body = r.AppendTo(body)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// opaque is a frame that is not rewritten.
func opaque(correlation int32, n int) []byte {
	frame := binary.BigEndian.AppendUint32(nil, uint32(4+n))
	frame = binary.BigEndian.AppendUint32(frame, uint32(correlation))
	return append(frame, bytes.Repeat([]byte{byte(correlation)}, n)...)
}

// converse sends requests, then responses, and returns what the client gets.
func converse(t *testing.T, d kafka.Directory, requests, responses []byte, chunked func(io.Reader) io.Reader) ([]byte, error) {
	t.Helper()
	s := kafka.NewSession(d)
	passed, err := io.ReadAll(s.Requests(chunked(bytes.NewReader(requests))))
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(passed, requests) {
		t.Error("the requests were changed")
	}
	return io.ReadAll(s.Responses(chunked(bytes.NewReader(responses))))
}

// whole reads as much as there is.
func whole(r io.Reader) io.Reader { return r }

// interrupted has every second read run into its deadline.
type interrupted struct {
	io.Reader
	reads int
}

func (i *interrupted) Read(b []byte) (int, error) {
	i.reads++
	if i.reads%2 == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	return i.Reader.Read(b)
}

// metadata lists brokers 1 to n.
func metadata(n int32) *kmsg.MetadataResponse {
	r := kmsg.NewPtrMetadataResponse()
	for id := range n {
		b := kmsg.NewMetadataResponseBroker()
		b.NodeID, b.Host, b.Port = id+1, "host", id+1
		r.Brokers = append(r.Brokers, b)
	}
	return r
}

func TestSession(t *testing.T) {
	chunkings := map[string]func(io.Reader) io.Reader{"whole": whole, "bytes": iotest.OneByteReader, "halves": iotest.HalfReader}

	t.Run("metadata of every version names the proxy", func(t *testing.T) {
		for version := range kmsg.NewPtrMetadataRequest().MaxVersion() + 1 {
			for name, chunked := range chunkings {
				d := new(directory)
				got, err := converse(t, d, requestFrame(kmsg.NewPtrMetadataRequest(), version, 7), responseFrame(metadata(2), version, 7), chunked)
				want := metadata(2)
				for i := range want.Brokers {
					want.Brokers[i].Host = "127.0.0.1"
					want.Brokers[i].Port += 10000
				}
				if err != nil || !bytes.Equal(got, responseFrame(want, version, 7)) {
					t.Errorf("version %d in %s: %v, %x", version, name, err, got)
				}
				if len(d.brokers) != 1 || !slices.Equal(d.brokers[0], []string{"host:1", "host:2"}) {
					t.Errorf("brokers told: %v", d.brokers)
				}
			}
		}
	})

	t.Run("a coordinator is the proxy, and one that is not known stays so", func(t *testing.T) {
		for version := range kmsg.NewPtrFindCoordinatorRequest().MaxVersion() + 1 {
			response := func(host string, port int32) []byte {
				r := kmsg.NewPtrFindCoordinatorResponse()
				r.Host, r.Port = host, port
				c := kmsg.NewFindCoordinatorResponseCoordinator()
				c.Host, c.Port = host, port
				r.Coordinators = append(r.Coordinators, c)
				return responseFrame(r, version, 3)
			}
			ask := requestFrame(kmsg.NewPtrFindCoordinatorRequest(), version, 3)
			got, err := converse(t, new(directory), ask, response("host", 5), whole)
			if err != nil || !bytes.Equal(got, response("127.0.0.1", 10005)) {
				t.Errorf("version %d: %v, %x", version, err, got)
			}
			got, err = converse(t, new(directory), ask, response("", -1), whole)
			if err != nil || !bytes.Equal(got, response("", -1)) {
				t.Errorf("version %d, unknown: %v, %x", version, err, got)
			}
		}
	})

	t.Run("the description of a cluster names the proxy", func(t *testing.T) {
		response := func(host string, port int32) []byte {
			r := kmsg.NewPtrDescribeClusterResponse()
			b := kmsg.NewDescribeClusterResponseBroker()
			b.Host, b.Port = host, port
			r.Brokers = append(r.Brokers, b)
			return responseFrame(r, 1, 3)
		}
		got, err := converse(t, new(directory), requestFrame(kmsg.NewPtrDescribeClusterRequest(), 1, 3), response("host", 5), whole)
		if err != nil || !bytes.Equal(got, response("127.0.0.1", 10005)) {
			t.Errorf("%v, %x", err, got)
		}
	})

	t.Run("versions are limited to those without a way round the proxy", func(t *testing.T) {
		for version := range kmsg.NewPtrApiVersionsRequest().MaxVersion() + 1 {
			response := func(produce, fetch int16) []byte {
				r := kmsg.NewPtrApiVersionsResponse()
				for key, newest := range []int16{produce, fetch, 9} {
					k := kmsg.NewApiVersionsResponseApiKey()
					k.ApiKey, k.MaxVersion = int16(key), newest
					r.ApiKeys = append(r.ApiKeys, k)
				}
				return responseFrame(r, version, 1)
			}
			got, err := converse(t, new(directory), requestFrame(kmsg.NewPtrApiVersionsRequest(), version, 1), response(12, 17), whole)
			if err != nil || !bytes.Equal(got, response(9, 12)) {
				t.Errorf("version %d: %v, %x", version, err, got)
			}
		}
	})

	t.Run("answers keep their order among others that pass", func(t *testing.T) {
		requests := slices.Concat(
			requestFrame(kmsg.NewPtrProduceRequest(), 9, 1),
			requestFrame(kmsg.NewPtrMetadataRequest(), 12, 2),
			requestFrame(kmsg.NewPtrFetchRequest(), 12, 3),
			requestFrame(kmsg.NewPtrMetadataRequest(), 12, 4),
		)
		responses := slices.Concat(opaque(1, 100_000), responseFrame(metadata(1), 12, 2), opaque(3, 1), responseFrame(metadata(1), 12, 4), opaque(5, 0))
		local := metadata(1)
		local.Brokers[0].Host, local.Brokers[0].Port = "127.0.0.1", 10001
		want := slices.Concat(opaque(1, 100_000), responseFrame(local, 12, 2), opaque(3, 1), responseFrame(local, 12, 4), opaque(5, 0))
		for name, chunked := range chunkings {
			got, err := converse(t, new(directory), requests, responses, chunked)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("in %s: %v, %d bytes", name, err, len(got))
			}
		}
	})

	t.Run("an interrupted read goes on where it was", func(t *testing.T) {
		s := kafka.NewSession(new(directory))
		if _, err := io.Copy(io.Discard, s.Requests(bytes.NewReader(requestFrame(kmsg.NewPtrMetadataRequest(), 9, 2)))); err != nil {
			t.Fatal(err)
		}
		source := &interrupted{Reader: iotest.OneByteReader(bytes.NewReader(slices.Concat(responseFrame(metadata(1), 9, 2), opaque(3, 10))))}
		r := s.Responses(source)
		var got []byte
		var err error
		for err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			b := make([]byte, 100)
			var n int
			n, err = r.Read(b)
			got = append(got, b[:n]...)
		}
		local := metadata(1)
		local.Brokers[0].Host, local.Brokers[0].Port = "127.0.0.1", 10001
		if want := slices.Concat(responseFrame(local, 9, 2), opaque(3, 10)); err != io.EOF || !bytes.Equal(got, want) {
			t.Errorf("%v, got %x", err, got)
		}
	})

	t.Run("what is not Kafka passes untouched", func(t *testing.T) {
		hello := append([]byte{0x16, 3, 1, 2, 0}, bytes.Repeat([]byte{1, 2, 3}, 500)...)
		for name, chunked := range chunkings {
			for _, garbage := range [][]byte{hello, []byte("GET / HTTP/1.1\r\n\r\n"), {0}, {0, 0, 0, 0, 0, 0, 0, 0, 0}, bytes.Repeat([]byte{0xff}, 99)} {
				got, err := converse(t, new(directory), garbage, garbage, chunked)
				if err != nil || !bytes.Equal(got, garbage) {
					t.Errorf("in %s: %v, %x", name, err, got)
				}
			}
		}
	})

	t.Run("an answer that cannot be read passes untouched", func(t *testing.T) {
		for _, ask := range []kmsg.Request{kmsg.NewPtrMetadataRequest(), kmsg.NewPtrApiVersionsRequest(), kmsg.NewPtrFindCoordinatorRequest()} {
			for version := range ask.MaxVersion() + 1 {
				got, err := converse(t, new(directory), requestFrame(ask, version, 9), opaque(9, 37), whole)
				if err != nil || !bytes.Equal(got, opaque(9, 37)) {
					t.Errorf("%T version %d: %v, %x", ask, version, err, got)
				}
			}
		}
	})

	t.Run("an answer that ends in the middle is passed as far as it goes", func(t *testing.T) {
		frame := responseFrame(metadata(3), 9, 2)
		for cut := range len(frame) {
			got, err := converse(t, new(directory), requestFrame(kmsg.NewPtrMetadataRequest(), 9, 2), frame[:cut], iotest.HalfReader)
			if err != nil || !bytes.Equal(got, frame[:cut]) {
				t.Errorf("cut at %d: %v, %x", cut, err, got)
			}
		}
	})

	t.Run("an answer too large to rewrite ends the connection, and so does a port that cannot be opened", func(t *testing.T) {
		huge := binary.BigEndian.AppendUint32(nil, 17<<20)
		huge = append(binary.BigEndian.AppendUint32(huge, 2), make([]byte, 100)...)
		ask := requestFrame(kmsg.NewPtrMetadataRequest(), 9, 2)
		if got, err := converse(t, new(directory), ask, slices.Concat(opaque(1, 3), huge), whole); !errors.Is(err, kafka.ErrTooLarge) || !bytes.Equal(got, opaque(1, 3)) {
			t.Errorf("too large: %v, %x", err, got)
		}
		full := errors.New("no port left")
		if got, err := converse(t, &directory{err: full}, ask, slices.Concat(responseFrame(metadata(1), 9, 2), opaque(1, 3)), whole); !errors.Is(err, full) || len(got) != 0 {
			t.Errorf("no port: %v, %x", err, got)
		}
	})

	t.Run("requests that nobody answers do not pile up", func(t *testing.T) {
		var requests []byte
		for n := range int32(5000) {
			requests = append(requests, requestFrame(kmsg.NewPtrMetadataRequest(), 9, n)...)
		}
		if _, err := converse(t, new(directory), requests, nil, whole); !errors.Is(err, kafka.ErrTooMany) {
			t.Errorf("%v", err)
		}
	})
}

// FuzzSession holds that no bytes bring a session down, that requests pass as
// they are, and that so do responses to what is not rewritten.
func FuzzSession(f *testing.F) {
	ask := requestFrame(kmsg.NewPtrMetadataRequest(), 12, 2)
	f.Add(ask, responseFrame(metadata(3), 12, 2))
	f.Add(requestFrame(kmsg.NewPtrApiVersionsRequest(), 3, 2), opaque(2, 40))
	f.Add(requestFrame(kmsg.NewPtrFindCoordinatorRequest(), 4, 1), slices.Concat(opaque(2, 40), opaque(1, 9)))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), []byte{0x16, 3, 1, 2, 0})
	f.Fuzz(func(t *testing.T, requests, responses []byte) {
		for _, chunked := range []func(io.Reader) io.Reader{whole, iotest.OneByteReader} {
			s := kafka.NewSession(new(directory))
			passed, err := io.ReadAll(s.Requests(chunked(bytes.NewReader(requests))))
			if err == nil && !bytes.Equal(passed, requests) {
				t.Errorf("requests %x passed as %x", requests, passed)
			}
			if _, err := io.ReadAll(s.Responses(chunked(bytes.NewReader(responses)))); err != nil {
				continue
			}
			plain := kafka.NewSession(new(directory))
			passed, err = io.ReadAll(plain.Responses(chunked(bytes.NewReader(responses))))
			if err != nil || !bytes.Equal(passed, responses) {
				t.Errorf("responses %x passed as %x, %v", responses, passed, err)
			}
		}
	})
}
