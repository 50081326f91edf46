// Package suite puts the behaviours of all kinds of servers together.
package suite

import (
	"example.com/goldenpath/devtool/internal/parity"
	"example.com/goldenpath/devtool/internal/parity/kafka"
	"example.com/goldenpath/devtool/internal/parity/postgres"
	"example.com/goldenpath/devtool/internal/parity/redis"
)

// All returns the suites of every kind.
func All() []parity.Suite {
	return []parity.Suite{postgres.Suite(), redis.Suite(), kafka.Suite()}
}
