package page

import (
	"fmt"
	"strings"

	"blackout/e2e/profile"
)

// icicle is a drawing of one growth: what calls lies above what is called, as wide
// as it grew.
type icicle struct {
	Title, Whose, Command string
	Meanings              []string
	Paths                 []grownPath
	Frames                []frameBox
	Height                int
	Gross                 string // what the shares are of, if that is not the title's
	Hidden                int    // rows that are deeper
}

type grownPath struct{ Grew, Share, Functions string }

// frameBox is one function; X and Width are percents.
type frameBox struct {
	X, Width       float64
	Y              int
	Name, Full, Is string
	Shade          int
}

const (
	frameHeight = 20
	// deepest row that is drawn.
	deepest = 24
	// leastWidth of a box that is drawn, in percent.
	leastWidth = 0.4
	// namedWidth is that of a box that has room for a name.
	namedWidth = 4
	// shades of the boxes, so that neighbours are told apart.
	shades     = 3
	shownPaths = 5
)

// icicles of the largest growth of each kind: of other processes the growth is said
// in words.
func (d Data) icicles() (all []icicle) {
	largest := map[profile.Kind]int{}
	for i, g := range d.Growths {
		if at, seen := largest[g.Kind]; g.Net() > 0 && (!seen || g.Net() > d.Growths[at].Net()) {
			largest[g.Kind] = i
		}
	}
	for i, g := range d.Growths {
		if g.Net() <= 0 {
			continue
		}
		net := d.Amount(float64(g.Net()), g.Unit)
		drawing := icicle{
			Title: fmt.Sprintf("%s of %s: %s more in %s", g.Kind, g.Incarnation.Pod, net, short(g.Elapsed)),
			Whose: arrows(strings.TrimPrefix(g.Whose, ": ")), Meanings: g.Meanings, Command: g.Command,
		}
		if gross := d.Amount(float64(g.Gross), g.Unit); gross != net {
			drawing.Gross = gross
		}
		if largest[g.Kind] == i {
			for _, p := range g.Paths[:min(shownPaths, len(g.Paths))] {
				drawing.Paths = append(drawing.Paths, grownPath{d.Amount(float64(p.Growth), g.Unit), fmt.Sprintf("%.0f %%", percent*p.Share), arrows(p.String())})
			}
			drawing.lay(g.Tree, g.Tree.Growth, 0, 0, func(v int64) string { return d.Amount(float64(v), g.Unit) })
		}
		all = append(all, drawing)
	}
	return all
}

// arrows are one character each, so that no line ends within one.
func arrows(path string) string { return strings.ReplaceAll(path, "->", "→") }

// lay puts a frame's children below it, side by side.
func (i *icicle) lay(f profile.Frame, whole int64, x float64, row int, amount func(int64) string) {
	if whole <= 0 {
		return
	}
	if row > deepest {
		i.Hidden = max(i.Hidden, row-deepest)
	}
	for n, c := range f.Children {
		width := percent * float64(c.Growth) / float64(whole)
		if width < leastWidth {
			break // they come in order
		}
		if row < deepest {
			box := frameBox{
				X: x, Width: width, Y: row * frameHeight, Full: c.Function, Shade: (row+n)%shades + 1,
				Is: fmt.Sprintf("%s, %.1f %%", amount(c.Growth), width),
			}
			if width >= namedWidth {
				box.Name = profile.Short(c.Function)
			}
			i.Frames = append(i.Frames, box)
			i.Height = max(i.Height, (row+1)*frameHeight)
		} else {
			i.Hidden = max(i.Hidden, row-deepest+1)
		}
		i.lay(c, whole, x, row+1, amount)
		x += width
	}
}
