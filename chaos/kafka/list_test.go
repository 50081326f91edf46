package kafka_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"example.com/goldenpath/chaos/kafka"
)

func TestList(t *testing.T) {
	t.Run("it has every broker of a cluster, and makes no topic", func(t *testing.T) {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.AllowAutoTopicCreation())
		if err != nil {
			t.Fatal(err)
		}
		defer cluster.Close()
		c, err := net.Dial("tcp", cluster.ListenAddrs()[1])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		got, err := kafka.List(c)
		want := cluster.ListenAddrs()
		slices.Sort(got)
		slices.Sort(want)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
	})

	for _, test := range []struct{ fact, answer, says string }{
		{"a broker that hangs up", "", io.EOF.Error()},
		{"an answer that breaks off", "\x00\x00\x00\x08abc", io.ErrUnexpectedEOF.Error()},
		{"the beginning of TLS", "\x15\x03\x01\x00\x02\x02\x28", kafka.ErrTooLarge.Error()},
		{"an answer without a broker", "\x00\x00\x00\x0c" + strings.Repeat("\x00", 12), "the answer is not one to metadata"},
		{"an answer that counts more than it has", "\x00\x00\x00\x0c" + strings.Repeat("\x00", 8) + "\x7f\xff\xff\xff", "the answer is not one to metadata"},
		{"an answer shorter than its header", "\x00\x00\x00\x01\x00", "the answer is not one to metadata"},
	} {
		t.Run(test.fact+" is an error", func(t *testing.T) {
			got, err := kafka.List(struct {
				io.Reader
				io.Writer
			}{strings.NewReader(test.answer), new(bytes.Buffer)})
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}

	t.Run("a connection that is closed is an error", func(t *testing.T) {
		here, there := net.Pipe()
		there.Close()
		if _, err := kafka.List(here); !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
	})
}
