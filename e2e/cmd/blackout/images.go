package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"blackout/e2e/images"
	"blackout/e2e/progress"
	"blackout/e2e/run"
)

// defaultLonghorn is the version of the incident, longhorn/longhorn#9978.
const defaultLonghorn = "v1.7.2"

func newHarness() (run.Harness, error) {
	return run.NewHarness(progress.New(os.Stderr))
}

// requestFlags adds the flags that say which images are wanted.
func requestFlags(cmd *cobra.Command, request *images.Request) {
	cmd.Flags().StringVar(&request.Longhorn, "longhorn", defaultLonghorn, "version of Longhorn")
	cmd.Flags().StringVar((*string)(&request.Mode), "images", string(images.Auto),
		fmt.Sprintf("where images come from: %s, %s or %s", images.Auto, images.Registry, images.Module))
	cmd.Flags().StringVar(&request.ManagerSource, "manager-src", os.Getenv(images.EnvManagerSource),
		"checkout of longhorn-manager to run (default $"+images.EnvManagerSource+")")
}

func imagesCommand() *cobra.Command {
	var request images.Request
	cmd := &cobra.Command{
		Use:   "images",
		Short: "provide the images of one Longhorn version, and say where they came from",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := newHarness()
			if err != nil {
				return err
			}
			set, timings, err := h.Images(cmd.Context(), request)
			if err != nil {
				return err
			}
			return printJSON(cmd, map[string]any{"node": set.Node, "origins": set.Origins, "steps": timings})
		},
	}
	requestFlags(cmd, &request)
	return cmd
}
