package history

import (
	"bytes"
	"strconv"
	"time"
)

// The parts of a sample's line, as Writer writes it. Between the time and the
// value stands what the sample is of.
var (
	sampleStart = []byte(`{"kind":"sample","data":{"time":"`)
	timeEnd     = []byte(`","probe":`)
	valueStart  = []byte(`,"value":`)
	sampleEnd   = []byte(`}}`)
)

// quick reads the lines that are nearly all of a history: what samples are of
// repeats, so each such text is decoded once, by the strict way, and recognised
// after that. A line that is in any way different from what Writer writes is
// not its business, whether it is bad or not.
type quick struct {
	known map[string]Sample // by the text between time and value
	// The samples of one look have one time.
	text []byte
	at   time.Time
}

// cut takes a line apart. No JSON string can hold the text that stands before
// the value: it has quotes.
func (quick) cut(line []byte) (at, of, value []byte, ok bool) {
	line, ok = bytes.CutPrefix(bytes.TrimSuffix(line, []byte("\n")), sampleStart)
	if !ok {
		return nil, nil, nil, false
	}
	end, number := bytes.Index(line, timeEnd), bytes.LastIndex(line, valueStart)
	value, ok = bytes.CutSuffix(line[max(number, 0):], sampleEnd)
	if !ok || end < 0 || number < end {
		return nil, nil, nil, false
	}
	return line[:end], line[end:number], value[len(valueStart):], true
}

// sample of a line whose like was learned before.
func (q *quick) sample(line []byte) (Sample, bool) {
	at, of, value, ok := q.cut(line)
	if !ok {
		return Sample{}, false
	}
	s, ok := q.known[string(of)]
	if !ok || !plainNumber(value) {
		return Sample{}, false
	}
	var err error
	if s.Value, err = strconv.ParseFloat(string(value), 64); err != nil {
		return Sample{}, false
	}
	if !bytes.Equal(at, q.text) {
		var t time.Time
		if t.UnmarshalText(at) != nil || t.IsZero() {
			return Sample{}, false
		}
		q.text, q.at = append(q.text[:0], at...), t
	}
	s.Time = q.at
	return s, true
}

// learn keeps what the sample of a good line is of, unless it would be taken for
// another one.
func (q *quick) learn(line []byte, s Sample) {
	_, of, _, ok := q.cut(line)
	if !ok {
		return
	}
	if q.known == nil {
		q.known = map[string]Sample{}
	}
	q.known[string(of)] = s
	got, ok := q.sample(line)
	if ok = ok && got.Time.Equal(s.Time); !ok {
		delete(q.known, string(of))
		return
	}
	if got.Time = s.Time; got != s {
		delete(q.known, string(of))
	}
}

// plainNumber tells JSON's numbers, as encoding/json writes them, from what else
// strconv takes for one.
func plainNumber(text []byte) bool {
	digits := func() int {
		n := 0
		for n < len(text) && text[n] >= '0' && text[n] <= '9' {
			n++
		}
		text = text[n:]
		return n
	}
	text = bytes.TrimPrefix(text, []byte("-"))
	zero := bytes.HasPrefix(text, []byte("0"))
	if n := digits(); n == 0 || zero && n > 1 {
		return false
	}
	if rest, ok := bytes.CutPrefix(text, []byte(".")); ok {
		if text = rest; digits() == 0 {
			return false
		}
	}
	if rest, ok := bytes.CutPrefix(text, []byte("e")); ok {
		if text = rest; len(text) > 0 && (text[0] == '+' || text[0] == '-') {
			text = text[1:]
		}
		if digits() == 0 {
			return false
		}
	}
	return len(text) == 0
}
