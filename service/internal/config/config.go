// Package config reads the service's configuration: defaults, then the .env
// file, then the environment, each overriding what came before. It lists every
// problem at once, with the place each value came from.
//
// The Config struct is the one description of all variables: .env.example, the
// checks and the defaults are derived from its tags.
package config

import "time"

// Config is the configuration of server, worker and scheduler; all read the same
// variables, so that one .env serves them side by side.
//
// Tags: env is the variable, default its value when none is given, doc its
// line in .env.example, section begins a new block there. The checks are
// oneof, min and max (in the field's own unit), scheme (of a URL) and form
// (address, addresses, name). A Secret is never printed. An empty value counts
// as none given.
type Config struct {
	Environment string `env:"SERVICE_ENV" default:"development" oneof:"development,test,staging,production" section:"The process" doc:"Where the service runs. In production the development credentials are refused."`
	LogLevel    string `env:"LOG_LEVEL" default:"info" oneof:"debug,info,warn,error" doc:"The least level that is logged."`

	HTTPAddr           string        `env:"HTTP_ADDR" default:"127.0.0.1:8081" form:"address" section:"Listening" doc:"Where the server answers HTTP, Connect, gRPC and gRPC-Web. Port 0 takes any free one and logs it."`
	AdminAddr          string        `env:"ADMIN_ADDR" default:"127.0.0.1:8082" form:"address" doc:"Where the server answers /healthz, /readyz and /metrics."`
	WorkerAdminAddr    string        `env:"WORKER_ADMIN_ADDR" default:"127.0.0.1:8083" form:"address" doc:"The same for the worker, which has no other port."`
	SchedulerAdminAddr string        `env:"SCHEDULER_ADMIN_ADDR" default:"127.0.0.1:8084" form:"address" doc:"The same for the scheduler, which has no other port."`
	HTTPTimeout        time.Duration `env:"HTTP_TIMEOUT" default:"30s" min:"100ms" max:"10m" doc:"The longest that one request may take."`
	ShutdownTimeout    time.Duration `env:"SHUTDOWN_TIMEOUT" default:"10s" min:"100ms" max:"10m" doc:"How long requests and tasks in flight may go on after SIGTERM."`

	RateLimitRPS   float64 `env:"RATE_LIMIT_RPS" default:"200" min:"0" max:"1000000" section:"Rate limit, for each client address" doc:"Requests a second. 0 turns the limit off."`
	RateLimitBurst int     `env:"RATE_LIMIT_BURST" default:"400" min:"1" max:"1000000" doc:"Requests that may come at once."`

	DatabaseURL            Secret        `env:"DATABASE_URL" default:"postgres://goldenpath:goldenpath@127.0.0.1:15432/goldenpath?sslmode=disable" scheme:"postgres,postgresql" section:"PostgreSQL" doc:"The database."`
	DatabaseTimeout        time.Duration `env:"DATABASE_TIMEOUT" default:"5s" min:"10ms" max:"5m" doc:"The longest that one statement may take."`
	DatabaseConnectTimeout time.Duration `env:"DATABASE_CONNECT_TIMEOUT" default:"2s" min:"10ms" max:"1m" doc:"The longest that one new connection may take."`
	DatabaseMaxConns       int32         `env:"DATABASE_MAX_CONNS" default:"10" min:"1" max:"1000" doc:"Connections in the pool of each process."`

	RedisURL     Secret        `env:"REDIS_URL" default:"redis://127.0.0.1:16379/0" scheme:"redis,rediss" section:"Redis" doc:"Cache, rate limit and task queue."`
	RedisTimeout time.Duration `env:"REDIS_TIMEOUT" default:"150ms" min:"1ms" max:"1m" doc:"The longest that the cache or the rate limit may hold up a request."`
	CacheTTL     time.Duration `env:"CACHE_TTL" default:"1m" min:"1s" max:"24h" doc:"How long a cached note is believed."`

	KafkaBrokers []string      `env:"KAFKA_BROKERS" default:"127.0.0.1:19092" form:"addresses" section:"Kafka" doc:"Brokers to begin with, separated by commas."`
	KafkaTopic   string        `env:"KAFKA_TOPIC" default:"notes.v1" form:"name" doc:"Where the events of notes go."`
	KafkaGroup   string        `env:"KAFKA_GROUP" default:"notes-worker" form:"name" doc:"The worker's consumer group."`
	KafkaTimeout time.Duration `env:"KAFKA_TIMEOUT" default:"10s" min:"100ms" max:"5m" doc:"The longest that one request to a broker may take."`

	PruneInterval   time.Duration `env:"PRUNE_INTERVAL" default:"1h" min:"1m" max:"168h" section:"Maintenance" doc:"How often the scheduler has what is old pruned."`
	LedgerRetention time.Duration `env:"LEDGER_RETENTION" default:"336h" min:"24h" max:"8760h" doc:"How long it is remembered which events were handled. Keep it longer than Kafka keeps the topic: an event that comes again later is handled again."`

	OTLPEndpoint string `env:"OTEL_EXPORTER_OTLP_ENDPOINT" scheme:"http,https" section:"Traces" doc:"Base URL of an OTLP/HTTP collector, for example http://127.0.0.1:4318. Empty: spans are not exported."`

	CaptureDir      string        `env:"CAPTURE_DIR" section:"Captures for replay" doc:"Folder that requests and responses are recorded in, secrets redacted. Empty: nothing is recorded."`
	CaptureMaxBytes int64         `env:"CAPTURE_MAX_BYTES" default:"268435456" min:"1048576" doc:"The oldest captures go when all together are larger, in bytes."`
	CaptureMaxAge   time.Duration `env:"CAPTURE_MAX_AGE" default:"168h" min:"1m" doc:"Captures older than this go."`
}

// Secret is a value that no verb of fmt, no encoder and no logger prints.
type Secret string

const hidden = "[secret]"

// Reveal gives the value to whoever connects with it.
func (s Secret) Reveal() string { return string(s) }

// String hides the value.
func (s Secret) String() string { return hidden }

// GoString hides the value from %#v.
func (s Secret) GoString() string { return hidden }

// MarshalText hides the value from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
