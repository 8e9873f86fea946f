package history

import (
	"bytes"
	"encoding/json"
	"errors"
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
	newline     = []byte("\n")
)

// quick reads the lines that are nearly all of a history: what samples are of
// repeats, so each such text is decoded once, by the strict way, and recognised
// after that. A line that is in any way different from what Writer writes is
// not its business, whether it is bad or not.
type quick struct {
	known map[string]*Sample // by the text between time and value
	// The samples of one look have one time.
	text []byte
	at   time.Time
}

// decode reads one line, which may be the first, or the last and without an end.
func (q *quick) decode(raw []byte, first, last bool) (Record, error) {
	rec := Record{Kind: SampleRecord}
	if !first && q.sample(raw, &rec.Sample) {
		return rec, nil
	}
	return q.strictly(raw, first, last)
}

// strictly reads a line that sample did not recognise.
func (q *quick) strictly(raw []byte, first, last bool) (rec Record, err error) {
	if err := json.Unmarshal(raw, &rec); err != nil {
		if last && !first && !json.Valid(raw) {
			return Record{}, errTorn
		}
		return Record{}, err
	}
	if (rec.Kind == HeaderRecord) != first {
		return Record{}, errors.New("the header must be the first line and no other")
	}
	if rec.Kind == SampleRecord {
		q.learn(raw, rec.Sample)
	}
	return rec, nil
}

// cut takes a line apart. No JSON string can hold the text that stands before
// the value: it has quotes.
func (q *quick) cut(line []byte) (at, of, value []byte, ok bool) {
	line, ok = bytes.CutPrefix(bytes.TrimSuffix(line, newline), sampleStart)
	if !ok {
		return nil, nil, nil, false
	}
	line, ok = bytes.CutSuffix(line, sampleEnd)
	if !ok {
		return nil, nil, nil, false
	}
	number := len(line)
	for number > 0 && inNumber(line[number-1]) {
		number--
	}
	head, ok := bytes.CutSuffix(line[:number], valueStart)
	if !ok {
		return nil, nil, nil, false
	}
	end := len(q.text)
	if end == 0 || !bytes.HasPrefix(head, q.text) || !bytes.HasPrefix(head[end:], timeEnd) {
		end = bytes.Index(head, timeEnd)
	}
	if end < 0 {
		return nil, nil, nil, false
	}
	return head[:end], head[end:], line[number:], true
}

func inNumber(c byte) bool {
	return c >= '0' && c <= '9' || c == '.' || c == '-' || c == '+' || c == 'e'
}

// sample of a line whose like was learned before.
func (q *quick) sample(line []byte, s *Sample) bool {
	at, of, value, ok := q.cut(line)
	if !ok {
		return false
	}
	known, ok := q.known[string(of)]
	if !ok {
		return false
	}
	number, ok := parseNumber(value)
	if !ok {
		return false
	}
	if !bytes.Equal(at, q.text) {
		var t time.Time
		if t.UnmarshalText(at) != nil || t.IsZero() {
			return false
		}
		q.text, q.at = append(q.text[:0], at...), t
	}
	*s = *known
	s.Time, s.Value = q.at, number
	return true
}

// learn keeps what the sample of a good line is of, unless it would be taken for
// another one.
func (q *quick) learn(line []byte, s Sample) {
	_, of, _, ok := q.cut(line)
	if !ok {
		return
	}
	if q.known == nil {
		q.known = map[string]*Sample{}
	}
	q.known[string(of)] = &s
	var got Sample
	if !q.sample(line, &got) || !got.Time.Equal(s.Time) {
		delete(q.known, string(of))
		return
	}
	if got.Time = s.Time; got != s {
		delete(q.known, string(of))
	}
}

// parseNumber reads what plainNumber says is one.
func parseNumber(text []byte) (float64, bool) {
	const exact = 15 // digits that a float64 holds, whatever they are
	if n := len(text); n > 0 && n <= exact && (text[0] != '0' || n == 1) {
		whole := int64(0)
		for i, c := range text {
			if c < '0' || c > '9' {
				break
			}
			if whole = 10*whole + int64(c-'0'); i == n-1 {
				return float64(whole), true
			}
		}
	}
	if !plainNumber(text) {
		return 0, false
	}
	v, err := strconv.ParseFloat(string(text), 64)
	return v, err == nil
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
