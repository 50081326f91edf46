package worker

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"example.com/goldenpath/service/internal/infra/redis"
)

func TestServer(t *testing.T) {
	t.Run("a redis that hangs up is asked a few times a second, and not without end", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var calls atomic.Int64
		accepting := make(chan struct{})
		go func() {
			defer close(accepting)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				calls.Add(1)
				c.Close()
			}
		}()
		client, err := redis.Open(redis.Config{URL: "redis://" + l.Addr().String()}, noop.NewTracerProvider(), zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		s := newServer(Deps{Redis: client.Asynq(), Tracing: noop.NewTracerProvider(), Log: zap.NewNop(), Grace: 5 * time.Second, Concurrency: 10})
		ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
		defer stop()
		begun := time.Now()
		if err := s.run(ctx); err != nil {
			t.Errorf("the server: %v", err)
		}
		// A dozen parts of asynq ask, each of them at its own pace.
		if most := int64(40 * time.Since(begun).Seconds()); calls.Load() == 0 || calls.Load() > most {
			t.Errorf("it was asked %d times, want 1 to %d", calls.Load(), most)
		}
		l.Close()
		<-accepting
		if err := client.Close(); err != nil {
			t.Errorf("closing redis: %v", err)
		}
	})
}
