package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Kind says which record a line holds.
type Kind string

// The kinds of record. A phase is written when it begins and once more, with
// its end, when it is over.
const (
	HeaderRecord Kind = "header"
	PhaseRecord  Kind = "phase"
	SampleRecord Kind = "sample"
	EventRecord  Kind = "event"
	GapRecord    Kind = "gap"
)

// Record is one line. Only the field that Kind names is set.
type Record struct {
	Kind   Kind
	Header Header
	Phase  Phase
	Sample Sample
	Event  Event
	Gap    Gap
}

// line is a record as it is written: the data is apart because an event has a
// kind of its own.
type line[T any] struct {
	Kind Kind `json:"kind"`
	Data T    `json:"data"`
}

// MarshalJSON writes {"kind": ..., "data": {...}}.
func (r Record) MarshalJSON() ([]byte, error) {
	switch r.Kind {
	case HeaderRecord:
		return json.Marshal(line[Header]{r.Kind, r.Header})
	case PhaseRecord:
		return json.Marshal(line[Phase]{r.Kind, r.Phase})
	case SampleRecord:
		return json.Marshal(line[Sample]{r.Kind, r.Sample})
	case EventRecord:
		return json.Marshal(line[Event]{r.Kind, r.Event})
	case GapRecord:
		return json.Marshal(line[Gap]{r.Kind, r.Gap})
	}
	return nil, fmt.Errorf("unknown kind of record %q", r.Kind)
}

// ErrVersion marks a history that another version of this program has written.
var ErrVersion = errors.New("not this program's")

// UnmarshalJSON is strict: within one version of the format every field is known.
func (r *Record) UnmarshalJSON(data []byte) error {
	var raw line[json.RawMessage]
	if err := strict(data, &raw); err != nil {
		return err
	}
	*r = Record{Kind: raw.Kind}
	var into any
	switch raw.Kind {
	case HeaderRecord:
		into = &r.Header
		// The version is looked at first: fields of another version are no news.
		var v struct{ Version int }
		if err := json.Unmarshal(raw.Data, &v); err == nil && v.Version != Version {
			return fmt.Errorf("%w: version %d of the format, this program reads version %d: use the blackout that wrote it", ErrVersion, v.Version, Version)
		}
	case PhaseRecord:
		into = &r.Phase
	case SampleRecord:
		into = &r.Sample
	case EventRecord:
		into = &r.Event
	case GapRecord:
		into = &r.Gap
	default:
		return fmt.Errorf("unknown kind of record %q", raw.Kind)
	}
	if err := strict(raw.Data, into); err != nil {
		return err
	}
	return r.validate()
}

// validate refuses what no probe writes, so that a damaged line is not judged.
func (r Record) validate() error {
	switch r.Kind {
	case PhaseRecord:
		switch {
		case !slices.Contains(PhaseNames, r.Phase.Name):
			return fmt.Errorf("unknown phase %q", r.Phase.Name)
		case r.Phase.Start.IsZero():
			return errors.New("phase without a start")
		case !r.Phase.Open() && r.Phase.End.Before(r.Phase.Start):
			return fmt.Errorf("phase %s ends before it starts", r.Phase.Name)
		}
	case SampleRecord:
		if r.Sample.Time.IsZero() || r.Sample.Series == "" {
			return errors.New("sample without a time or a series")
		}
	case EventRecord:
		if r.Event.Time.IsZero() || r.Event.Kind == "" {
			return errors.New("event without a time or a kind")
		}
	case GapRecord:
		if r.Gap.From.IsZero() || r.Gap.To.Before(r.Gap.From) {
			return errors.New("gap that ends before it starts")
		}
	}
	return nil
}
