package probe

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"blackout/e2e/history"
)

// dripping answers with the head of a list and then one backup after the other,
// each after a pause, so many in all, and then the end; none: it is silent.
func dripping(count int, pause time.Duration, end string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		say := func(text string) { // to nobody, once the census has given up
			fmt.Fprint(w, text)
			_ = http.NewResponseController(w).Flush()
		}
		say(`{"kind":"List","metadata":{"resourceVersion":"1"},"items":[`)
		for i := range count {
			select {
			case <-r.Context().Done():
				return
			case <-time.After(pause):
			}
			if i > 0 {
				say(",")
			}
			say(backupJSON(fmt.Sprintf("b%d", i), "Pending", "", ""))
		}
		if say(end); end == "" {
			hang(w, r)
		}
	}
}

// TestCensusBoundsTheSilence lets a list come piece by piece: what is never silent
// may take as long as the whole look.
func TestCensusBoundsTheSilence(t *testing.T) {
	const (
		silence = 2 * time.Second
		pause   = silence / 10
		slow    = 15      // pauses: longer than the silence in all
		forever = 1 << 20 // pauses
	)
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		limit  time.Duration // of the look
		gap    string
	}{
		"slow and never silent":  {dripping(slow, pause, "]}"), time.Minute, ""},
		"silent from the start":  {hang, time.Minute, "nothing came for 2s"},
		"silent in the middle":   {dripping(3, pause, ""), time.Minute, "nothing came for 2s"},
		"goes on without an end": {dripping(forever, pause, ""), 2 * silence, "no answer within 4s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api, sink := fullAPI(t), &memory{}
			api.on(longhornAPI+"backups", test.answer)
			options := DefaultCensusOptions()
			options.PartTimeout, options.LookLimit = silence, test.limit
			c, err := newCensus(api.link(t), sink.Event, options)
			if err != nil {
				t.Fatal(err)
			}
			samples, err := c.Sample(t.Context())
			got := bySeries(samples)
			if got["nodes-ready/cluster"] != 2 {
				t.Errorf("the other parts: %v", samples)
			}
			waiting, counted := got[history.Waiting+"/cluster"]
			if test.gap == "" {
				if err != nil || waiting != slow {
					t.Errorf("%v waiting, %v", waiting, err)
				}
				return
			}
			if reason := gapOf(err, BackupsPart); !strings.Contains(reason, test.gap) || counted || len(missed(err)) != 1 {
				t.Errorf("gap %q, want %q alone; %v waiting", reason, test.gap, waiting)
			}
		})
	}
}
