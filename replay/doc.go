// Package replay holds the vocabulary of captured HTTP traffic: one request
// that a service served, and the response that it gave.
//
// The packages below it each do one thing with an [Exchange]:
//
//   - record captures it in a net/http middleware
//   - redact takes the secrets out of it, before anything else sees it
//   - archive keeps it on disk and finds it again by its trace id
//   - play sends it again, to a loopback address only
//   - diff says how a new response differs from the recorded one
package replay
