package doctor

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestWorst(t *testing.T) {
	for name, tc := range map[string]struct {
		statuses []Status
		want     Status
	}{
		"none":      {nil, Unknown},
		"all ok":    {[]Status{OK, OK}, OK},
		"unknown":   {[]Status{OK, Unknown}, Unknown},
		"warn":      {[]Status{Warn, Unknown, OK}, Warn},
		"fail":      {[]Status{OK, Fail, Warn}, Fail},
		"fail last": {[]Status{Warn, Unknown, Fail}, Fail},
	} {
		var checks []Check
		for _, status := range tc.statuses {
			checks = append(checks, Check{Name: string(status), Status: status})
		}
		report := newReport(checks)
		if report.Worst != tc.want {
			t.Errorf("%s: worst is %s, want %s", name, report.Worst, tc.want)
		}
		if got := len(report.Failed()) > 0; got != (tc.want == Fail) {
			t.Errorf("%s: failed %v", name, report.Failed())
		}
	}
}

var sample = newReport([]Check{
	{Name: "engine", Status: OK, Found: "docker 28", Means: "not shown", Do: "not shown"},
	{Name: "loop devices", Status: Unknown, Found: "no answer", Means: "no disks", Do: "sysctl -w a=b > c"},
})

func TestWriteText(t *testing.T) {
	const want = `engine        ok       docker 28
loop devices  unknown  no answer
    means: no disks
    do:    sysctl -w a=b > c

1 ok, 1 unknown, 0 warn, 0 fail
`
	var text strings.Builder
	if err := sample.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if text.String() != want {
		t.Errorf("got\n%s\nwant\n%s", text.String(), want)
	}
}

func TestWriteJSON(t *testing.T) {
	var text strings.Builder
	if err := sample.WriteJSON(&text); err != nil {
		t.Fatal(err)
	}
	var got Report
	if err := json.Unmarshal([]byte(text.String()), &got); err != nil {
		t.Fatal(err)
	}
	if got.Version != Version || got.Worst != Unknown || !slices.Equal(got.Checks, sample.Checks) {
		t.Errorf("read back: %+v", got)
	}
	if !strings.Contains(text.String(), `"version": 1`) || !strings.Contains(text.String(), "a=b > c") {
		t.Errorf("written: %s", text.String())
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errPlain }

func TestWriteErrors(t *testing.T) {
	if err := sample.WriteText(brokenPipe{}); !errors.Is(err, errPlain) {
		t.Errorf("text: %v", err)
	}
	if err := sample.WriteJSON(brokenPipe{}); !errors.Is(err, errPlain) {
		t.Errorf("JSON: %v", err)
	}
}
