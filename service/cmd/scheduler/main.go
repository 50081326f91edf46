// Command scheduler has the worker do, at regular times, what no request asks
// for.
package main

import (
	"os"

	"example.com/goldenpath/service/internal/app"
)

func main() {
	os.Exit(app.SchedulerMain(os.Args[1:], os.Environ(), app.Stdio{Out: os.Stdout, Err: os.Stderr}))
}
