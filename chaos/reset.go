package chaos

func resetKind() kind {
	return kind{
		typ:      Reset,
		whole:    true,
		optional: true,
		recipe: Recipe{
			Fault:   "reset",
			Summary: "resets open connections (TCP RST) and each new one once it is connected",
			Value:   "how long a connection lives before its reset, as in 2s; without it, not at all",
			Example: "db-reset",
			Client:  "connection reset by peer, in the middle of whatever it did",
		},
		attributes: []attribute{{name: "timeout", max: longest.Milliseconds()}},
		parse:      optionalDuration("timeout"),
	}
}
