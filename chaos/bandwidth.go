package chaos

func bandwidthKind() kind {
	return kind{
		typ: Bandwidth,
		recipe: Recipe{
			Fault:   "bandwidth",
			Summary: "lets replies through at a limited rate, for each connection",
			Value:   "how much a second, as in 64KB/s",
			Example: "db-bandwidth 64KB/s",
			Client:  "large answers that trickle in, small ones as ever",
		},
		// The limit keeps rate times 100, which the slices are cut by, in range.
		attributes: []attribute{{name: "rate", min: 1, max: 1 << 40, required: true}},
		parse: func(value string, _ Options) (map[string]any, *UsageError) {
			rate, err := parseRate(value)
			if err != nil {
				return nil, err
			}
			return map[string]any{"rate": rate}, nil
		},
	}
}
