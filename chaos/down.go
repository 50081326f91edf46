package chaos

func downKind() kind {
	return kind{
		typ:   Down,
		whole: true,
		bare:  true,
		recipe: Recipe{
			Fault:   "down",
			Summary: "resets open connections and refuses new ones",
			Example: "db-down",
			Client:  "connection reset, then connection refused",
		},
	}
}
