package main

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"blackout/e2e/track"
)

// lastNights are two weeks: what broke longer ago is no news.
const lastNights = 14

func trackCommand() *cobra.Command {
	var file string
	var last int
	cmd := &cobra.Command{
		Use:   "track DIRECTORY...",
		Short: "append the verdicts of runs to a track record, and compare each with the nights before",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if last < 1 {
				return fmt.Errorf("--last %d: give at least 1, the nights to compare with", last)
			}
			var nights []track.Night
			for _, dir := range args {
				night, err := track.Read(dir)
				if err != nil {
					return err
				}
				nights = append(nights, night)
			}
			record, err := track.Load(file)
			if err != nil {
				return err
			}
			slices.SortStableFunc(nights, func(a, b track.Night) int { return cmp.Or(cmp.Compare(a.Scenario, b.Scenario), a.Time.Compare(b.Time)) })
			for _, night := range nights {
				// With the others of tonight: one of two of the same is before the other.
				if err := track.Compare(night, slices.Concat(record, nights), last).Markdown(cmd.OutOrStdout()); err != nil {
					return err
				}
			}
			return track.Append(file, record, nights)
		},
	}
	cmd.Flags().StringVar(&file, "record", "track.jsonl", "the track record: made if there is none")
	cmd.Flags().IntVar(&last, "last", lastNights, "nights to compare with, at most")
	return cmd
}
