package progress

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// buffer may be read while a step's ticker writes.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

const elapsed = `\d+(ms|s)|0s`

func TestPlainLines(t *testing.T) {
	g := NewWithT(t)
	var out buffer
	r := New(&out)
	r.Expect(3)
	r.Logf("found %d", 7)
	g.Expect(r.Step("compile", 6*time.Minute).Done()).To(BeNumerically("<", time.Minute))
	r.Step("pull", 0).Cached()
	r.Step("bake", 1500*time.Millisecond).Failed()
	r.Step("one more than expected", 0).Done()

	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	want := []string{
		`found 7`,
		`\[1/3\] compile \(usually 6m0s\)`, `\[1/3\] compile: done in (` + elapsed + `)`,
		`\[2/3\] pull`, `\[2/3\] pull: cached \((` + elapsed + `)\)`,
		`\[3/3\] bake \(usually 2s\)`, `\[3/3\] bake: FAILED after (` + elapsed + `)`,
		`\[4/4\] one more than expected`, `\[4/4\] one more than expected: done in (` + elapsed + `)`,
	}
	g.Expect(lines).To(HaveLen(len(want)))
	for i := range want {
		g.Expect(lines[i]).To(MatchRegexp("^" + want[i] + "$"))
	}
}

// A log file must be readable, whatever the tools print into it.
func TestNoEscapesOffATerminal(t *testing.T) {
	g := NewWithT(t)
	path := filepath.Join(t.TempDir(), "log")
	f, err := os.Create(path) // a file, but no terminal
	g.Expect(err).NotTo(HaveOccurred())
	r := New(f)
	step := r.Step("install", 0)
	_, err = fmt.Fprint(step.Writer(), "\x1b[1;31mGet:1\x1b[0m\tpackage\r 50%\r100%\n")
	g.Expect(err).NotTo(HaveOccurred())
	step.r.mu.Lock()
	r.line(step.text()) // what the ticker does every 20 seconds
	step.r.mu.Unlock()
	step.Done()
	g.Expect(f.Close()).To(Succeed())
	raw, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(raw)).To(ContainSubstring("[1/1] install: Get:1 package  50% 100%\n"))
	g.Expect(string(raw)).NotTo(MatchRegexp(`[\x00-\x09\x0b-\x1f]`))
}

func TestTerminalLineRewritesItself(t *testing.T) {
	g := NewWithT(t)
	var out buffer
	const width = 20
	r := &Reporter{out: &out, tty: true, width: width} // what New makes of a terminal
	step := r.Step("compile a large program", 0)
	step.Note("package %s", "k8s.io/kubernetes")
	g.Expect(out.String()).To(BeEmpty(), "a terminal gets no line before it can be rewritten")
	g.Eventually(out.String, 10*redraw, redraw/5).Should(Equal(clearLine + "[1/1] compile a larg"[:width-1]))
	step.Done()
	g.Expect(out.String()).To(MatchRegexp(`\r\x1b\[K\[1/1\] compile a large program: done in (` + elapsed + `)\n$`))
	before := out.String()
	g.Consistently(out.String, 2*redraw).Should(Equal(before), "an ended step is silent")
}

func TestWriterSplitsLines(t *testing.T) {
	g := NewWithT(t)
	var out buffer
	step := New(&out).Step("compile", 0)
	defer step.Done()
	note := func() string {
		step.r.mu.Lock()
		defer step.r.mu.Unlock()
		return step.note
	}
	w := step.Writer()
	for _, part := range []struct{ text, note string }{
		{"k8s.io/", ""},
		{"api\nk8s.io/cli", "k8s.io/api"},
		{"ent\n", "k8s.io/client"},
		{"\n  \n", "k8s.io/client"},
		{"one\ntwo\n", "two"},
		{"windows\r\n", "windows"},
		{"100%s %d\n", "100%s %d"},
	} {
		n, err := w.Write([]byte(part.text))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(n).To(Equal(len(part.text)), "a short count would end the copying")
		g.Expect(note()).To(Equal(part.note))
	}
}

func TestCutNeverExceedsTheWidth(t *testing.T) {
	g := NewWithT(t)
	for _, text := range []string{"", "a", "exactly 20 characters", "ünïcödé ünïcödé ünïcödé", strings.Repeat("x", 300)} {
		for width := range 40 {
			got := cut(text, width)
			g.Expect(len([]rune(got))).To(BeNumerically("<=", max(width-1, 0)), "%q in %d: the last column stays free", text, width)
			g.Expect(text).To(HavePrefix(got))
			if len([]rune(text)) < width {
				g.Expect(got).To(Equal(text))
			}
		}
	}
}

func TestRound(t *testing.T) {
	g := NewWithT(t)
	g.Expect(round(1234567 * time.Microsecond).String()).To(Equal("1s"))
	g.Expect(round(234567 * time.Microsecond).String()).To(Equal("235ms"))
	g.Expect(round(61700 * time.Millisecond).String()).To(Equal("1m2s"))
}

func TestTextTellsTheTime(t *testing.T) {
	g := NewWithT(t)
	s := &Step{prefix: "[1/2]", title: "compile", usual: time.Minute, start: time.Now().Add(-90 * time.Second), note: "k8s.io/api"}
	g.Expect(s.text()).To(Equal("[1/2] compile, 1m30s (usually 1m0s): k8s.io/api"))
}
