package chaos

func limitDataKind() kind {
	return kind{
		typ: LimitData,
		recipe: Recipe{
			Fault:   "limit-data",
			Summary: "closes each connection after that many bytes of replies",
			Value:   "how many bytes, as in 16KB",
			Example: "db-limit-data 16KB",
			Client:  "an answer cut off in the middle, then the end of the connection",
		},
		attributes: []attribute{{name: "bytes", max: 1 << 40}},
		parse: func(value string, _ Options) (map[string]any, *UsageError) {
			bytes, err := parseSize(value)
			if err != nil {
				return nil, err
			}
			return map[string]any{"bytes": bytes}, nil
		},
	}
}
