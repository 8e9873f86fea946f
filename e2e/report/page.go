package report

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"blackout/e2e/report/page"
)

// WritePage writes report.html for the run in dir to a file.
func (v Verdict) WritePage(dir, path string) error {
	var b bytes.Buffer
	if err := page.Write(&b, v.page(dir)); err != nil {
		return err
	}
	if err := os.WriteFile(path, b.Bytes(), fileMode); err != nil {
		return fmt.Errorf("write the page: %w; see to it, then: blackout report %s", err, dir)
	}
	return nil
}

// page is what is shown of the verdict and of the run's directory. A run that
// broke early has little there: what is missing is said.
func (v Verdict) page(dir string) page.Data {
	d := page.Data{
		Judgement: v.Judgement, ExitCode: v.ExitCode, Notes: slices.Clone(v.Notes), Amount: amount,
	}
	d.Run.Header = v.Run
	read := v.read
	if read == nil {
		s, run, err := Load(dir)
		if err != nil {
			d.Notes = append(d.Notes, "what was recorded cannot be read: "+err.Error())
		}
		read = &recorded{s, run}
	}
	d.Scenario = read.scenario
	if read.run.Header.Version != 0 {
		d.Run = read.run
	}
	if len(v.Outages) > 0 {
		d.Drawing = drawn(v.Outages)
	}
	for _, m := range v.Recovery {
		elapsed, err := time.ParseDuration(m.Elapsed)
		d.Steps = append(d.Steps, page.Step{Name: m.Step, Seen: err == nil, Elapsed: elapsed, Evidence: m.Evidence})
	}
	for _, g := range v.Growth {
		d.Growths = append(d.Growths, page.Growth{Growth: g.Growth, Whose: g.whose(), Meanings: g.meanings()})
	}
	text, err := os.ReadFile(filepath.Join(dir, ScenarioFile))
	if err == nil {
		d.ScenarioText = string(text)
	}
	lab, err := ReadLab(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		d.Notes = append(d.Notes, "what ran is not known: there is no "+LabFile)
	case err != nil:
		d.Notes = append(d.Notes, err.Error())
	default:
		d.Lab = lab.page()
	}
	d.Command = lab.repeat(v.Run.Longhorn)
	return d
}

// page is what a reader is told of what ran.
func (l Lab) page() (lab page.Lab) {
	fact := func(name, value string) {
		if value != "" {
			lab.Facts = append(lab.Facts, page.Fact{Name: name, Value: value})
		}
	}
	fact("cluster of somebody else, by its context", l.Spec.Existing.Context)
	fact("images", l.Spec.Request.Mode)
	fact("manager built from", l.Spec.Request.ManagerSource)
	fact("node image", l.NodeImage)
	var plane []string
	for _, o := range l.Origins {
		c := page.Component{Name: o.Component, Version: o.Version, Source: o.Source, ID: o.Digest}
		if c.ID == "" {
			c.ID = o.Key
		}
		if o.Dirty {
			c.Source += ", with changes that no commit holds"
		}
		lab.Components = append(lab.Components, c)
		if dataPlane[o.Component] {
			plane = append(plane, o.Component+" "+o.Version)
		}
	}
	fact("data plane", strings.Join(plane, ", "))
	return lab
}

// dataPlane are the components that hold the data.
var dataPlane = map[string]bool{"longhorn-instance-manager": true, "longhorn-engine": true}
