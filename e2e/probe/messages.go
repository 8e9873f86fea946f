package probe

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"blackout/e2e/history"
)

const (
	maxMessage = 200 // bytes
	// newsworthy is the change of a count, as a share of what was last told,
	// that is worth an event: a draining backlog changes it at every look.
	newsworthy = 0.1
)

// message is what backups of one state say.
type message struct{ state, text string }

// messages follows what most backups say.
type messages struct {
	top  int
	told map[message]int // last told count
}

// said counts the messages of one listing.
type said map[message]int

func newMessages(top int) *messages { return &messages{top: top, told: map[message]int{}} }

func (m *messages) begin() said { return said{} }

func (s said) add(state string, b *backup) {
	texts := map[string]bool{} // once each: the error often repeats a message
	if b.Status.Error != "" {
		texts[b.normal(b.Status.Error)] = true
	}
	for _, text := range b.Status.Messages {
		if text != "" {
			texts[b.normal(text)] = true
		}
	}
	for text := range texts {
		s[message{state, text}]++
	}
}

// changed returns events for the top messages whose counts have moved, and for
// those told before that nobody says any more, and takes note of them.
func (m *messages) changed(now said, at time.Time) []history.Event {
	names := make([]message, 0, len(now))
	for name := range now {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b message) int {
		return cmp.Or(cmp.Compare(now[b], now[a]), strings.Compare(a.state, b.state), strings.Compare(a.text, b.text))
	})
	names = names[:min(m.top, len(names))]
	var gone []message
	for name := range m.told {
		if now[name] == 0 {
			gone = append(gone, name)
		}
	}
	slices.SortFunc(gone, func(a, b message) int {
		return cmp.Or(strings.Compare(a.state, b.state), strings.Compare(a.text, b.text))
	})
	var events []history.Event
	for _, name := range append(names, gone...) {
		count, told := now[name], m.told[name]
		if count == told || count > 0 && told > 0 && float64(max(count-told, told-count)) < newsworthy*float64(told) {
			continue
		}
		events = append(events, history.Event{Time: at, Kind: history.BackupMessage, Subject: name.state, Fields: map[string]string{
			"message": name.text, "count": strconv.Itoa(count),
		}})
		if m.told[name] = count; count == 0 {
			delete(m.told, name)
		}
	}
	return events
}

// What differs between two backups that say the same.
var variable = []struct {
	pattern *regexp.Regexp
	word    string
}{
	{regexp.MustCompile(`[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}`), "<uid>"},
	{regexp.MustCompile(`\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b`), "<address>"},
	{regexp.MustCompile(`\[[0-9a-fA-F:]*:[0-9a-fA-F:]*\](?::\d+)?`), "<address>"},
	{regexp.MustCompile(`\b(?:instance-manager|backup|snapshot|pvc)-[0-9a-f]{8,}\b`), "<name>"},
	{regexp.MustCompile(`\d+`), "N"},
}

// normal is a message without names and addresses.
func (b *backup) normal(text string) string {
	names := []struct{ name, word string }{
		{b.Spec.SnapshotName, "<snapshot>"},
		{b.Metadata.Name, "<backup>"},
		{cmp.Or(b.Metadata.Labels[labelBackupVolume], b.Status.VolumeName), "<volume>"},
		{b.Status.OwnerID, "<node>"},
	}
	// The longest first: one name may be the beginning of another.
	slices.SortStableFunc(names, func(a, b struct{ name, word string }) int { return cmp.Compare(len(b.name), len(a.name)) })
	for _, n := range names {
		if n.name != "" {
			text = strings.ReplaceAll(text, n.name, n.word)
		}
	}
	for _, v := range variable {
		text = v.pattern.ReplaceAllString(text, v.word)
	}
	return shorten(text, maxMessage)
}
