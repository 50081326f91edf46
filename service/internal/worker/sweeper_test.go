package worker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

type sweepFunc func(ctx context.Context, before time.Time) (int64, error)

func (f sweepFunc) Sweep(ctx context.Context, before time.Time) (int64, error) { return f(ctx, before) }

func TestSweeper(t *testing.T) {
	t.Run("the ledger is swept every hour of what is two weeks old, also after a failure", func(t *testing.T) {
		logs, seen := observer.New(zap.InfoLevel)
		synctest.Test(t, func(t *testing.T) {
			sweeps := make(chan time.Duration, 10)
			s := newSweeper(Deps{Log: zap.New(logs), Ledger: sweepFunc(func(_ context.Context, before time.Time) (int64, error) {
				sweeps <- time.Since(before)
				if len(sweeps) == 1 {
					return 0, errors.New("the database is away")
				}
				return 7, nil
			})})
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- s.run(ctx) }()
			<-time.After(3*sweepInterval + time.Minute)
			stop()
			if err := <-done; err != nil {
				t.Errorf("the sweeper: %v", err)
			}
			if len(sweeps) != 3 {
				t.Errorf("it was swept %d times in three hours", len(sweeps))
			}
			for len(sweeps) > 0 {
				if age := <-sweeps; age != sweepAge {
					t.Errorf("what is %s old was swept", age)
				}
			}
		})
		if failed, swept := seen.FilterMessageSnippet("could not be swept").Len(), seen.FilterMessageSnippet("was swept").Len(); failed != 1 || swept != 2 {
			t.Errorf("the log has %d failures and %d sweeps", failed, swept)
		}
	})
}
