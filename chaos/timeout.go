package chaos

func timeoutKind() kind {
	return kind{
		typ:      Timeout,
		bothWays: true,
		optional: true,
		recipe: Recipe{
			Fault:   "timeout",
			Summary: "lets nothing through in either direction and closes nothing; resets what it silenced once it is cleared",
			Value:   "after how long to close the connection, as in 10s; without it, never",
			Example: "db-timeout",
			Client:  "no answer, until its own time limit",
		},
		attributes: []attribute{{name: "timeout", max: longest.Milliseconds()}},
		parse:      optionalDuration("timeout"),
	}
}

// optionalDuration reads a duration into the attribute, 0 when there is none.
func optionalDuration(attribute string) func(string, Options) (map[string]any, *UsageError) {
	return func(value string, _ Options) (map[string]any, *UsageError) {
		if value == "" {
			return map[string]any{attribute: int64(0)}, nil
		}
		ms, err := parseDuration(value)
		if err != nil {
			return nil, err
		}
		return map[string]any{attribute: ms}, nil
	}
}
