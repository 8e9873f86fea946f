package main

import (
	"errors"

	"github.com/spf13/cobra"

	"blackout/e2e/cluster/existing"
	"blackout/e2e/run"
)

// foreignFlags name a cluster that somebody else made.
type foreignFlags struct {
	kubeconfig, context, uid, power, store string
}

func (f *foreignFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.context, "context", "", "kubeconfig context of an existing cluster with Longhorn, instead of a cluster of one's own")
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig of the existing cluster (default: where kubectl looks)")
	flags.StringVar(&f.uid, "cluster-uid", "", "UID of the existing cluster's namespace kube-system, which proves that it is the one that is meant")
	flags.StringVar(&f.power, "power", "", "file that says how the existing cluster's nodes lose their power")
}

// cluster is nil if none is named.
func (f *foreignFlags) cluster() (*run.Foreign, error) {
	if f.context == "" {
		if f.kubeconfig != "" || f.uid != "" || f.power != "" || f.store != "" {
			return nil, errors.New("--kubeconfig, --cluster-uid, --power and --object-store-image are for an existing cluster: name it with --context")
		}
		return nil, nil
	}
	found := run.Foreign{ObjectStore: f.store, PowerFile: f.power, Spec: existing.Spec{Kubeconfig: f.kubeconfig, Context: f.context, SystemUID: f.uid}}
	if f.power == "" {
		return nil, errors.New("an existing cluster is cut only as a power file says: name one with --power")
	}
	power, err := existing.LoadPower(f.power)
	if err != nil {
		return nil, err
	}
	found.Power = &power
	return &found, nil
}

func repowerCommand() *cobra.Command {
	var foreign foreignFlags
	cmd := &cobra.Command{
		Use:   "repower",
		Short: "give power to the nodes of an existing cluster that a killed run has cut",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			named, err := foreign.cluster()
			if err != nil {
				return err
			}
			if named == nil {
				return errors.New("name the cluster with --context, --cluster-uid and --power")
			}
			h, err := newHarness()
			if err != nil {
				return err
			}
			return h.Repower(cmd.Context(), named.Spec)
		},
	}
	foreign.add(cmd)
	return cmd
}
