// Package kafka publishes the service's events to a topic and reads them back.
package kafka

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kotel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
)

// DefaultTimeout is Config's.
const DefaultTimeout = 5 * time.Second

// Config says where Kafka is and how long to wait for it.
type Config struct {
	Brokers []string      // host:port of those to ask first
	Topic   string        // of the events
	Group   string        // the consumers that share the topic among them
	Timeout time.Duration // of a connection and of a request, one second or more; 0 is DefaultTimeout
}

func (c Config) check() error {
	var bad []error
	if len(c.Brokers) == 0 {
		bad = append(bad, errors.New("no brokers are given"))
	}
	if c.Topic == "" {
		bad = append(bad, errors.New("no topic is given"))
	}
	return errors.Join(bad...)
}

func (c Config) timeout() time.Duration {
	if c.Timeout > 0 {
		return max(c.Timeout, time.Second) // franz-go takes no less
	}
	return DefaultTimeout
}

// options are those of every client.
func (c Config) options(tracer *kotel.Tracer, log *zap.Logger) []kgo.Opt {
	t := c.timeout()
	return []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID("goldenpath"),
		kgo.DialTimeout(t),
		kgo.RequestTimeoutOverhead(t),
		kgo.RetryTimeout(t),
		kgo.RetryBackoffFn(backoff),
		// A broker that comes back is noticed within the second.
		kgo.MetadataMinAge(250 * time.Millisecond),
		kgo.AllowAutoTopicCreation(),
		kgo.DisableClientMetrics(),
		kgo.WithHooks(tracer),
		kgo.WithLogger(driverLog{log}),
	}
}

// backoff is the wait before the n-th retry: from 100 ms to 1 s.
func backoff(n int) time.Duration {
	return min(100*time.Millisecond<<min(max(n-1, 0), 4), time.Second)
}

// newTracer starts spans of tp, and carries them in W3C Trace Context headers
// whatever the process's propagators are: the header is part of the topic's
// contract.
func newTracer(tp trace.TracerProvider, group string) *kotel.Tracer {
	return kotel.NewTracer(kotel.TracerProvider(tp), kotel.TracerPropagator(propagation.TraceContext{}), kotel.ConsumerGroup(group))
}

// driverLog takes what franz-go has to say about its connections and retries.
// What matters of it reaches people through the errors of Publish and Run.
type driverLog struct{ log *zap.Logger }

// Level is kgo.Logger's.
func (l driverLog) Level() kgo.LogLevel {
	if l.log.Core().Enabled(zap.DebugLevel) {
		return kgo.LogLevelWarn
	}
	return kgo.LogLevelNone
}

// Log is kgo.Logger's.
func (l driverLog) Log(_ kgo.LogLevel, msg string, pairs ...any) {
	fields := []zap.Field{zap.String("component", "franz-go")}
	for i := 0; i+1 < len(pairs); i += 2 {
		fields = append(fields, zap.Any(fmt.Sprint(pairs[i]), pairs[i+1]))
	}
	l.log.Debug(msg, fields...)
}
