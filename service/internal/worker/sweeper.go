package worker

import (
	"context"
	"time"

	"go.uber.org/zap"
)

const (
	sweepInterval = time.Hour
	// sweepAge is beyond any redelivery: Kafka keeps the topic for a week by
	// default, and a task that fails is tried for less than an hour.
	sweepAge = 14 * 24 * time.Hour
)

// sweeper keeps the ledger of handled keys from growing for ever.
type sweeper struct {
	ledger Ledger
	log    *zap.Logger
}

func newSweeper(d Deps) *sweeper { return &sweeper{ledger: d.Ledger, log: d.Log.Named("sweeper")} }

func (s *sweeper) run(ctx context.Context) error {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			n, err := s.ledger.Sweep(ctx, now.Add(-sweepAge))
			if err != nil && ctx.Err() == nil {
				s.log.Warn("the ledger could not be swept: it is tried again in an hour", zap.Error(err))
			} else if n > 0 {
				s.log.Info("the ledger was swept", zap.Int64("keys", n))
			}
		}
	}
}
