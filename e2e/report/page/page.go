// Package page writes report.html: one run on one page that needs nothing but a
// browser, neither a network nor a script. It draws what was seen and says what
// was judged; it judges nothing.
package page

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"blackout/e2e/bound"
	"blackout/e2e/history"
	"blackout/e2e/profile"
	"blackout/e2e/scenario"
)

// Data is everything that the page shows.
type Data struct {
	// Run has its Header at least, even if no history could be read.
	Run       history.Run
	Scenario  scenario.Scenario
	Judgement bound.Judgement
	ExitCode  int
	// Drawing of the outages, as text; empty if there were none.
	Drawing string
	Steps   []Step
	Growths []Growth
	Lab     Lab
	// ScenarioText is the scenario's file.
	ScenarioText string
	// Command repeats the run, from within its directory.
	Command string
	// Notes are what could not be found out.
	Notes []string
	// Amount writes a value of a series' unit for a reader.
	Amount func(v float64, unit history.Unit) string
}

// Step of the recovery from the last outage.
type Step struct {
	Name     string
	Seen     bool
	Elapsed  time.Duration // since power began to return, if it was seen
	Evidence string
}

// Growth of one process between two profiles.
type Growth struct {
	profile.Growth
	// Whose and Meanings say in words what grew and what that comes to.
	Whose    string
	Meanings []string
}

// Lab is what ran, as far as it was recorded.
type Lab struct {
	Facts      []Fact
	Components []Component
}

// Fact is one line of the environment.
type Fact struct{ Name, Value string }

// Component of what ran. ID is the registry's digest or the hash of its sources.
type Component struct{ Name, Version, Source, ID string }

// A text longer than this is folded behind its beginning, both in characters.
const longText, beginText = 240, 140

//go:embed page.html.tmpl style.css
var files embed.FS

var layout = template.Must(template.New("page.html.tmpl").Funcs(template.FuncMap{
	"upper": strings.ToUpper, "words": strings.Fields,
	"long": func(text string) bool { return utf8.RuneCountInString(text) > longText },
	"begin": func(text string) string {
		return strings.TrimRight(string([]rune(text)[:beginText]), " \n")
	},
}).ParseFS(files, "page.html.tmpl"))

// Write writes the page.
func Write(w io.Writer, d Data) error {
	style, err := files.ReadFile("style.css")
	if err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	v, err := d.view()
	if err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	v.Style = template.CSS(style)
	if err := layout.Execute(w, v); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}
