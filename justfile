# Short names for what people type. Each is one command.

# bring everything up
up *args:
    go run ./devtool up {{args}}

# take everything down
down *args:
    go run ./devtool down {{args}}

# schema and seeds as new
reset:
    go run ./devtool reset

# all tests, with real servers
test *args:
    go test ./... {{args}}

# all tests with the race detector
race:
    go test -race ./...

# the benchmarks, each of which prints a ratio to a peer in the same run
bench:
    .ci/bench

# what golangci-lint finds
lint:
    .ci/run format lint

# generated code from its sources
generate:
    .ci/run generate

# everything that a change must pass
ci:
    .ci/run
