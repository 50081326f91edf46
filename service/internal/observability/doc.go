// Package observability is how the service is seen from outside: JSON logs that
// carry the request's ids, traces over OTLP, metrics for Prometheus, and the
// admin port that answers whether the process is alive and ready.
//
// Nothing here is global: loggers, tracer providers and registries are values
// that the composition root makes and passes on.
package observability
