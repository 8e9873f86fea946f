package profile

// Frame is one function in the tree of all stacks that grew, outermost first.
type Frame struct {
	Function string
	// Growth of the growing stacks that pass through it, in the unit of its tree's
	// Growth: that of Children and its own.
	Growth   int64
	Children []Frame // the most grown first
}

// leastFrame is the share of the whole growth below which a frame is left out of
// the tree: its caller keeps the weight.
const leastFrame = 0.004

// tree lays all growing stacks on each other. Its root has no function.
func tree(stacks []stack, gross int64) Frame {
	var root node
	for _, s := range stacks {
		if s.growth() > 0 {
			root.add(s.functions, s)
		}
	}
	return root.frame(max(1, int64(leastFrame*float64(gross))))
}

func (n *node) frame(least int64) Frame {
	f := Frame{Function: n.function, Growth: n.growth()}
	for _, c := range n.byGrowth() {
		if c.growth() >= least {
			f.Children = append(f.Children, c.frame(least))
		}
	}
	return f
}
