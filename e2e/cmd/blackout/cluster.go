package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"blackout/e2e/run"
)

func clusterCommand() *cobra.Command {
	var spec run.LabSpec
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "make a kind cluster with a healthy Longhorn and volumes in it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := newHarness()
			if err != nil {
				return err
			}
			lab, err := h.Up(cmd.Context(), spec)
			if err != nil {
				return h.Abandon(cmd.Context(), spec.Run, err)
			}
			if asJSON {
				return printJSON(cmd, map[string]any{
					"cluster": lab.Cluster.Name(), "kubeconfig": lab.Kubeconfig, "volumes": lab.VolumeIDs,
					"origins": lab.Set.Origins, "steps": lab.Timings,
				})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "cluster %s: Longhorn %s ready, %d volumes healthy\nexport KUBECONFIG=%s\n",
				lab.Cluster.Name(), lab.Set.Longhorn, len(lab.VolumeIDs), lab.Kubeconfig)
			return err
		},
	}
	requestFlags(cmd, &spec.Request)
	flags := cmd.Flags()
	flags.StringVar(&spec.Run, "name", "lab", "id of the run: the cluster is called blackout-<name>")
	flags.IntVar(&spec.ControlPlanes, "control-planes", 1, "number of control planes")
	flags.IntVar(&spec.Workers, "workers", 2, "number of workers")
	flags.IntVar(&spec.Volumes, "volumes", 4, "number of volumes")
	flags.IntVar(&spec.Replicas, "replicas", 2, "replicas of each volume")
	flags.StringVar(&spec.VolumeSize, "volume-size", "16Mi", "size of each volume")
	flags.BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}

func cleanCommand() *cobra.Command {
	var options run.CleanOptions
	cmd := &cobra.Command{
		Use:   "clean",
		Short: "remove whatever any run left: containers, networks, mounts, loop devices, processes, kubeconfigs",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := newHarness()
			if err != nil {
				return err
			}
			removed, err := h.Clean(cmd.Context(), options)
			for _, line := range removed {
				fmt.Fprintln(cmd.OutOrStdout(), line)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&options.Engine, "engine", false, "stop the container engine too, if Blackout started it")
	cmd.Flags().BoolVar(&options.Cache, "cache", false, "remove what was built, too: the next run compiles again")
	return cmd
}
