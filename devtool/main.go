// Command devtool drives the local stack: up, chaos, replay, reset.
package main

import (
	"os"

	"example.com/goldenpath/devtool/internal/cli"
	"example.com/goldenpath/devtool/internal/console"
)

func main() { os.Exit(cli.Main(os.Args[1:], console.System())) }
