package chaos

import (
	"fmt"
	"strings"
)

func latencyKind() kind {
	return kind{
		typ: Latency,
		recipe: Recipe{
			Fault:   "latency",
			Summary: "holds every reply back for a while, with jitter if asked for",
			Value:   "how long, as in 500ms; with jitter 500ms±100ms or 500ms,100ms",
			Example: "db-latency 500ms",
			Client:  "slow answers, and its own time limits when they are shorter",
		},
		attributes: []attribute{
			{name: "latency", max: longest.Milliseconds()},
			{name: "jitter", max: longest.Milliseconds()},
		},
		parse: parseLatency,
	}
}

// parseLatency reads a duration and, behind ± or a comma or in the flag, its
// jitter.
func parseLatency(value string, flags Options) (map[string]any, *UsageError) {
	mean, spread, hasSpread := strings.Cut(strings.Replace(value, "±", ",", 1), ",")
	latency, err := parseDuration(mean)
	if err != nil {
		return nil, err
	}
	if flags.Jitter != 0 {
		if hasSpread {
			return nil, usage("jitter is given twice", "once is enough")
		}
		spread, hasSpread = flags.Jitter.String(), true
	}
	var jitter int64
	if hasSpread {
		if jitter, err = parseDuration(spread); err != nil {
			return nil, usage("jitter "+err.What, err.Hint)
		}
	}
	if jitter > latency {
		return nil, usage(fmt.Sprintf("jitter %s is more than the latency", spread), "keep it at or below "+mean)
	}
	return map[string]any{"latency": latency, "jitter": jitter}, nil
}
