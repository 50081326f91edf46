package cli

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"example.com/goldenpath/devtool/internal/console"
	"example.com/goldenpath/devtool/internal/control"
	"example.com/goldenpath/devtool/internal/reload"
)

// handOverCommand is what the watcher runs: it builds, and tells the supervisor.
func (a *app) handOverCommand() *cobra.Command {
	var socket, config string
	c := &cobra.Command{
		Use: "hand-over STAGE", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			client := control.Dial(socket)
			defer client.Close()
			exit := reload.HandOver(c.Context(), args[0], config, func(ctx context.Context, r reload.Report) error {
				return client.Built(ctx, r)
			}, os.Stdout)
			if exit != 0 {
				return console.Silent(exit)
			}
			return nil
		},
	}
	c.Flags().StringVar(&socket, "socket", "", "the supervisor's control socket")
	c.Flags().StringVar(&config, "config", "", "what to build")
	return c
}
