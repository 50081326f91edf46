package chaos

func slowCloseKind() kind {
	return kind{
		typ: SlowClose,
		recipe: Recipe{
			Fault:   "slow-close",
			Summary: "holds back the end of a connection",
			Value:   "how long, as in 2s",
			Example: "db-slow-close 2s",
			Client:  "connections that linger when the dependency has closed them",
		},
		attributes: []attribute{{name: "delay", max: longest.Milliseconds()}},
		parse: func(value string, _ Options) (map[string]any, *UsageError) {
			delay, err := parseDuration(value)
			if err != nil {
				return nil, err
			}
			return map[string]any{"delay": delay}, nil
		},
	}
}
