// Command server answers the notes' HTTP and RPC requests.
package main

import (
	"os"

	"example.com/goldenpath/service/internal/app"
)

func main() {
	os.Exit(app.ServerMain(os.Args[1:], os.Environ(), app.Stdio{Out: os.Stdout, Err: os.Stderr}))
}
