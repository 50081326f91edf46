package chaos

func slicerKind() kind {
	return kind{
		typ:      Slicer,
		optional: true,
		recipe: Recipe{
			Fault:   "slicer",
			Summary: "cuts replies into small packets with a pause after each",
			Value:   "how large a packet is about, as in 64B, which it is without a value",
			Example: "db-slicer 64B",
			Client:  "answers that arrive in pieces; finds code that takes one read for one message",
		},
		attributes: []attribute{
			{name: "average_size", min: 1, max: 1 << 30, required: true},
			{name: "size_variation", max: 1 << 30},
			{name: "delay", max: longest.Microseconds()},
		},
		parse: parseSlicer,
	}
}

// parseSlicer reads the average size. Sizes vary by half of it, and the pause
// is short: enough for the kernel not to join the packets again.
func parseSlicer(value string, _ Options) (map[string]any, *UsageError) {
	if value == "" {
		value = "64B"
	}
	average, err := parseSize(value)
	if err != nil {
		return nil, err
	}
	if average > 1<<30 {
		return nil, usage(value+" is too large for a packet", "the largest is 1GiB")
	}
	return map[string]any{"average_size": average, "size_variation": average / 2, "delay": int64(100)}, nil
}
