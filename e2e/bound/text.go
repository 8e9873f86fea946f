package bound

import (
	"fmt"
	"time"

	"blackout/e2e/history"
)

// quantity writes a value for a reader.
func quantity(v float64, unit string) string {
	rate := ""
	switch unit {
	case string(history.BytesPerSec):
		rate = "/s"
	case string(history.Bytes):
	case string(history.Bytes) + perMinute:
		rate = perMinute
	case string(history.Count):
		return fmt.Sprintf("%.6g", v)
	case string(history.Count) + perMinute:
		return fmt.Sprintf("%.4g%s", v, perMinute)
	default:
		return fmt.Sprintf("%.4g %s", v, unit)
	}
	for _, size := range []struct {
		name string
		of   float64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if v >= size.of || -v >= size.of {
			return fmt.Sprintf("%.3g %s%s", v/size.of, size.name, rate)
		}
	}
	return fmt.Sprintf("%.3g B%s", v, rate)
}

// plural writes a count with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// of names what a series was seen on.
func of(t history.Track) string {
	s := t.Series
	if t.Subject != "" {
		s += " of " + t.Subject
	}
	if t.Incarnation.Node != "" {
		s += " on " + t.Incarnation.Node
	}
	if t.Incarnation.Restarts > 0 {
		s += fmt.Sprintf(" (restart %d)", t.Incarnation.Restarts)
	}
	return s
}

func (c check) wanted() string {
	if c.bound.Subject == "" {
		return c.bound.Series
	}
	return c.bound.Series + " of " + c.bound.Subject
}

func clock(t time.Time) string { return t.UTC().Format(time.TimeOnly) }

func rounded(d time.Duration) time.Duration { return d.Round(time.Second) }

// probability writes a p-value; below this it is only small.
func probability(p float64) string {
	const small = 0.0001
	if p < small {
		return fmt.Sprintf("p<%g", small)
	}
	return fmt.Sprintf("p=%.2g", p)
}
