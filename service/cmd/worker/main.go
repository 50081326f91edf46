// Command worker relays the notes' events to Kafka and does what follows from
// them.
package main

import (
	"os"

	"example.com/goldenpath/service/internal/app"
)

func main() {
	os.Exit(app.WorkerMain(os.Args[1:], os.Environ(), app.Stdio{Out: os.Stdout, Err: os.Stderr}))
}
