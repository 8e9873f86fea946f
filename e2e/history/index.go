package history

import (
	"iter"
	"sync"
)

// index says where the samples of each series lie, and keeps the tracks that were
// asked for: who judges a day asks a hundred times for one of millions of samples.
type index struct {
	at    map[string][]int32
	first *Sample
	count int

	mu     sync.Mutex
	tracks map[string][]Track
}

func newIndex(samples []Sample) *index {
	if len(samples) == 0 {
		return nil
	}
	x := &index{at: map[string][]int32{}, first: &samples[0], count: len(samples), tracks: map[string][]Track{}}
	// Neighbours are often of one series.
	var series string
	var places []int32
	for i := range samples {
		if samples[i].Series != series {
			x.at[series] = places
			series = samples[i].Series
			places = x.at[series]
		}
		places = append(places, int32(i))
	}
	x.at[series] = places
	return x
}

// of tells whether these are the samples that were indexed, and no others.
func (x *index) of(samples []Sample) bool {
	return x != nil && len(samples) == x.count && &samples[0] == x.first
}

// Of goes through the samples of one series in order of time.
func (r Run) Of(series string) iter.Seq[*Sample] {
	return func(yield func(*Sample) bool) {
		if r.index.of(r.Samples) {
			for _, i := range r.index.at[series] {
				if !yield(&r.Samples[i]) {
					return
				}
			}
			return
		}
		for i := range r.Samples {
			if r.Samples[i].Series == series && !yield(&r.Samples[i]) {
				return
			}
		}
	}
}

// tracks of a series, whole.
func (r Run) tracks(series string) []Track {
	if !r.index.of(r.Samples) {
		return r.split(series)
	}
	x := r.index
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, known := x.tracks[series]; !known {
		x.tracks[series] = r.split(series)
	}
	return x.tracks[series]
}

// split joins what is of one incarnation.
func (r Run) split(series string) []Track {
	type key struct {
		subject string
		inc     Incarnation
	}
	at := map[key]int{}
	var out []Track
	var of []int // the track of each sample
	var sizes []int
	i := -1
	for s := range r.Of(series) {
		// One look after the other sees the same, mostly in the same order.
		i++
		if i == len(out) {
			i = 0
		}
		if i >= len(out) || out[i].Subject != s.Subject || out[i].Incarnation != s.Incarnation {
			k := key{s.Subject, s.Incarnation}
			known, seen := at[k]
			if !seen {
				known = len(out)
				at[k] = known
				out, sizes = append(out, Track{Series: series, Subject: s.Subject, Incarnation: s.Incarnation}), append(sizes, 0)
			}
			i = known
		}
		of = append(of, i)
		sizes[i]++
	}
	for i, n := range sizes {
		out[i].Samples = make([]Sample, 0, n)
	}
	n := 0
	for s := range r.Of(series) {
		t := &out[of[n]]
		t.Samples = append(t.Samples, *s)
		n++
	}
	return out
}
