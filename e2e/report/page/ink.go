package page

import (
	"fmt"
	"image/color"
	"strings"
)

// ink is a colour by its role. The drawing library wants fixed ones, the page
// wants those of the reader's scheme: so each role is drawn in a colour that stands
// for it and is replaced by a variable of the style sheet.
type ink uint8

const (
	axisInk ink = iota
	textInk
	gridInk
	outageInk
	limitInk
	phaseInk
	otherPhaseInk
	powerInk
	returnInk
	boundaryInk
	firstSeries
)

// seriesInks are how many the style sheet has: Okabe and Ito's, which colour-blind
// readers tell apart, made darker or lighter to stand out.
const seriesInks = 6

var inkNames = []string{"axis", "ink", "grid", "outage", "limit", "phase", "phase-other", "power", "return", "boundary", "s1", "s2", "s3", "s4", "s5", "s6"}

const marker1, marker2 = 0x01, 0xfe // no colour of anything else

func (i ink) color() color.Color { return color.RGBA{marker1, marker2, uint8(i), 0xff} }

// schemed replaces the colours that stand for roles.
func schemed(svg string) string {
	var pairs []string
	for i, name := range inkNames {
		pairs = append(pairs, fmt.Sprintf("#%02X%02X%02X", marker1, marker2, i), "var(--"+name+")")
	}
	return strings.NewReplacer(pairs...).Replace(svg)
}
