package replay

// Names that a replay adds to a request, so that the service can tell it and
// link its trace to the recorded one.
const (
	// HeaderOf holds the trace id of the recorded request, or the id of the
	// exchange where there was no trace.
	HeaderOf = "X-Replay-Of"
	// The members of the baggage header (W3C Baggage), which travel on to
	// whatever the request sets off.
	BaggageID    = "devtool.replay.id"                // of the exchange
	BaggageTrace = "devtool.replay.original_trace_id" // 32 hex digits
	BaggageSpan  = "devtool.replay.original_span_id"  // 16 hex digits
)
