package scenario

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing wrong with a scenario.
type Problem struct {
	File string // empty, as Line and Column are, when no file was read
	Line int
	// Column counts characters, from 1.
	Column  int
	Message string
	// Meant is the nearest valid name or form, if one is near.
	Meant string
}

func (p Problem) Error() string {
	text := withMeant(p.Message, p.Meant)
	if p.File == "" {
		return text
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, text)
}

func withMeant(message, meant string) string {
	if meant == "" {
		return message
	}
	return fmt.Sprintf("%s; did you mean %q?", message, meant)
}

// joined has all problems in the order of the file.
func joined(problems []Problem) error {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	errs := make([]error, len(problems))
	for i, p := range problems {
		errs[i] = p
	}
	return errors.Join(errs...)
}

// unknown words the complaint about a name: the nearest one, or all there are.
func unknown(what, got string, valid []string) (message, meant string) {
	message = fmt.Sprintf("unknown %s %q", what, got)
	if meant = nearest(got, valid); meant == "" {
		message += "; valid: " + strings.Join(valid, ", ")
	}
	return message, meant
}

// nearest is the first of the names with the fewest edits from got, if those
// are at most half of its letters.
func nearest(got string, names []string) string {
	const half = 2
	best, bestEdits := "", 0
	for _, name := range names {
		d := distance(strings.ToLower(got), strings.ToLower(name))
		if d*half > len(name) {
			continue
		}
		if best == "" || d < bestEdits {
			best, bestEdits = name, d
		}
	}
	return best
}

// distance counts the letters to add, drop, replace or swap with the next.
func distance(from, to string) int {
	a, b := []rune(from), []rune(to)
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
