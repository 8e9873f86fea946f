package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// WriteJSON writes the report for programs.
func (r Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	// A program reads it, and "<" in a remedy shall stay readable.
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// WriteText writes the report for people: a line a check, and below those that
// are not ok what it means and what to do.
func (r Report) WriteText(w io.Writer) error {
	nameWidth, statusWidth := 0, 0
	for _, c := range r.Checks {
		nameWidth = max(nameWidth, len(c.Name))
		statusWidth = max(statusWidth, len(c.Status))
	}
	var text strings.Builder
	counts := map[Status]int{}
	for _, c := range r.Checks {
		counts[c.Status]++
		fmt.Fprintf(&text, "%-*s  %-*s  %s\n", nameWidth, c.Name, statusWidth, c.Status, c.Found)
		if c.Status == OK {
			continue
		}
		if c.Means != "" {
			fmt.Fprintf(&text, "    means: %s\n", c.Means)
		}
		if c.Do != "" {
			fmt.Fprintf(&text, "    do:    %s\n", c.Do)
		}
	}
	fmt.Fprintf(&text, "\n%d ok, %d unknown, %d warn, %d fail\n", counts[OK], counts[Unknown], counts[Warn], counts[Fail])
	if _, err := io.WriteString(w, text.String()); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
