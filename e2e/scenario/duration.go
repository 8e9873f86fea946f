package scenario

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

// The forms of durations and quantities, in YAML and in the JSON Schema.
const (
	durationPattern = `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	quantityPattern = `^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$`
)

var (
	durationForm = regexp.MustCompile(durationPattern)
	quantityForm = regexp.MustCompile(quantityPattern)
	// numberAndUnit splits what was meant to be a duration or quantity.
	numberAndUnit = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) *([A-Za-z]*)$`)

	// sizeLetters begin the units that a size is likely to mean: MB, mb, MiB.
	sizeLetters   = map[string]string{"k": "Ki", "m": "Mi", "g": "Gi", "t": "Ti"}
	durationWords = map[string]string{
		"": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s",
		"min": "m", "mins": "m", "minute": "m", "minutes": "m",
		"hr": "h", "hrs": "h", "hour": "h", "hours": "h",
		"msec": "ms", "millisecond": "ms", "milliseconds": "ms",
	}
)

// Duration is a time.Duration written like "90s" or "5m".
type Duration struct{ time.Duration }

// String is the shortest form that a scenario reads: "5m", not "5m0s".
func (d Duration) String() string {
	s := d.Duration.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText writes the form that UnmarshalText reads, in JSON too.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a duration with its unit.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, meant, err := parseDuration(string(text))
	if err != nil {
		return errors.New(withMeant(err.Error(), meant))
	}
	*d = parsed
	return nil
}

// parseDuration also returns what a text that is none was meant to be.
func parseDuration(text string) (Duration, string, error) {
	if durationForm.MatchString(text) {
		if d, err := time.ParseDuration(text); err == nil {
			return Duration{d}, "", nil
		}
		return Duration{}, "", fmt.Errorf("%q is too long a duration", text)
	}
	var meant string
	if m := numberAndUnit.FindStringSubmatch(text); m != nil {
		if unit, ok := durationWords[strings.ToLower(m[2])]; ok {
			meant = m[1] + unit
		} else if compact := m[1] + m[2]; durationForm.MatchString(compact) {
			meant = compact // a space between number and unit
		}
		if m[2] == "" {
			return Duration{}, meant, fmt.Errorf("%q has no unit; want a duration such as 90s or 5m", text)
		}
	}
	return Duration{}, meant, fmt.Errorf("%q is not a duration such as 90s or 5m", text)
}

// parseQuantity reads what a scenario allows of Kubernetes' quantities: no sign,
// and no "m", which would be a thousandth and looks like minutes or megabytes.
func parseQuantity(text string) (resource.Quantity, string, error) {
	if quantityForm.MatchString(text) {
		q, err := resource.ParseQuantity(text)
		if err == nil {
			// The canonical form, so that equal quantities are equal values.
			return resource.MustParse(q.String()), "", nil
		}
	}
	var meant string
	if m := numberAndUnit.FindStringSubmatch(text); m != nil {
		for letter, unit := range sizeLetters {
			if strings.HasPrefix(strings.ToLower(m[2]), letter) {
				meant = m[1] + unit
			}
		}
	}
	return resource.Quantity{}, meant, fmt.Errorf("%q is not a quantity such as 16Mi or 24", text)
}
