package scenario

import (
	"strings"
	"testing"
)

// What a dry run says of the committed scenario is what it holds.
func TestDescribeSaysWhatARunWouldDo(t *testing.T) {
	s := committedScenario(t, "issue-9978")
	text := s.Describe("v1.7.2")
	for _, part := range []string{
		"issue-9978 on Longhorn v1.7.2 (labels: nightly, issue-9978; seed 9978)",
		"1 control planes, 2 workers; 12 volumes of 16Mi, replicas 2",
		"before-outage: 240 backups, 216 of them of snapshots that are lost (never-existed), 8 at a time, as fast as it goes",
		"nodes: all, for 10s, back together",
		"at least 2m30s, and until 5m10s after the restore",
		"connections-trend: trend of grpc-connections, max 5",
		"to fail by connections-trend",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in:\n%s", part, text)
		}
	}
	s.Volumes.Content.Fill = 0.5
	if text := s.Describe("v1.7.2"); !strings.Contains(text, "content   50% of each volume's blocks") {
		t.Errorf("nothing of the content:\n%s", text)
	}
	if other := s.Describe("v1.8.1"); !strings.Contains(other, "expected  to pass") {
		t.Errorf("v1.8.1 is not expected to pass:\n%s", other)
	}
}

func TestDescribeSaysHowPowerIsLost(t *testing.T) {
	text := decoded(t, racked).Describe("v1.8.1")
	for _, part := range []string{
		"nodes: rack left (control-plane, worker, worker2), for 10s, back one-by-one",
		"5s from one group to the next",
		"unsynced writes are kept",
		"addresses shuffled",
		"2 times, next cut 30s after power began to return",
		"soon: recovered, within 3m",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in:\n%s", part, text)
		}
	}
}
