package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"blackout/e2e/history"
	"blackout/e2e/openmetrics"
	"blackout/e2e/report"
)

func exportCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "export DIRECTORY",
		Short: "write a saved run's history in the OpenMetrics format, for Prometheus and Grafana",
		Example: `  blackout export DIRECTORY --output run.om
  promtool tsdb create-blocks-from openmetrics run.om data   # then: prometheus --storage.tsdb.path=data`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := report.HistoryPath(args[0])
			from, err := history.Open(path)
			if err != nil {
				return fmt.Errorf("export: %w", err)
			}
			defer func() { _ = from.Close() }() // only read from
			var summary openmetrics.Summary
			export := func(to io.Writer) (err error) {
				summary, err = openmetrics.Write(to, from)
				return err
			}
			if output == "" {
				err = export(cmd.OutOrStdout())
			} else {
				err = exportTo(output, args[0], export)
			}
			if err != nil {
				return fmt.Errorf("export: %w", err)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%d samples exported\n", summary.Samples)
			if summary.Truncated {
				return tornHistory(cmd, path, "what is exported")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&output, "output", "", "file to write (default: standard output)")
	return cmd
}

// exportTo writes a file whole or leaves what was there: promtool would take half of it.
func exportTo(path, run string, export func(io.Writer) error) error {
	path, err := outputFile(path, run)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new*")
	if err != nil {
		return err
	}
	const readable = 0o644 // Prometheus may be another user
	err = errors.Join(export(f), f.Chmod(readable), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// outputFile is where a path leads, if a file may be put there.
func outputFile(path, run string) (string, error) {
	there, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return path, nil
	case err != nil:
		return "", err
	case !there.Mode().IsRegular(): // a device would be replaced by a file
		return "", fmt.Errorf("%s is no regular file: name one, or leave --output out for standard output", path)
	}
	if err := spare(path, run, ""); err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// spare refuses to write over what lies in a run's directory, but for one name.
func spare(path, run, but string) error {
	there, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	files := os.DirFS(run)
	return fs.WalkDir(files, ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if own, err := fs.Stat(files, name); err == nil && name != but && os.SameFile(own, there) {
			return fmt.Errorf("%s is in the run's directory already and would be lost: name another file", path)
		}
		return nil
	})
}
