package profile

import (
	"testing"

	"github.com/google/pprof/profile"
	. "github.com/onsi/gomega"
)

func TestLocateTellsTheLineOfTheHeaviestStack(t *testing.T) {
	g := NewWithT(t)
	work, connect := &profile.Function{Name: "main.work", Filename: "work.go"}, &profile.Function{Name: "main.connect", Filename: "x/connect.go"}
	library := &profile.Function{Name: "grpc.Dial", Filename: "grpc.go"}
	at := func(f *profile.Function, line int64) *profile.Location {
		return &profile.Location{Line: []profile.Line{{Function: f, Line: line}}}
	}
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "goroutine"}},
		Sample: []*profile.Sample{ // the innermost first
			{Value: []int64{1}, Location: []*profile.Location{at(library, 9), at(connect, 10), at(work, 1)}},
			{Value: []int64{7}, Location: []*profile.Location{at(library, 9), at(connect, 20), at(work, 1)}},
			{Value: []int64{3}, Location: []*profile.Location{at(library, 9), at(connect, 30), at(work, 1)}},
			{Value: []int64{99}, Location: []*profile.Location{at(connect, 40)}}, // another path
		},
	}
	own := []string{"main."}
	g.Expect(locate("goroutine", p, []string{"main.work", "main.connect"}, own)).To(Equal("x/connect.go:20"))
	g.Expect(locate("goroutine", p, []string{"main.work"}, own)).To(Equal("work.go:1"))
	g.Expect(locate("goroutine", p, []string{"main.other"}, own)).To(BeEmpty())
}
