package report

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	. "github.com/onsi/gomega"

	"blackout/e2e/scenario"
)

const (
	// screenshotsEnv names a directory in which the screenshots are kept.
	screenshotsEnv = "BLACKOUT_SCREENSHOTS"
	// browserTimeout is for everything that one browser is asked.
	browserTimeout = 5 * time.Minute

	readableContrast = 4.5 // of text, by WCAG 2 AA
	leastHeight      = 60  // of a chart
	someColours      = 100 // that a screenshot of charts and smoothed text has at least
)

// browserNames are the programs that chromedp can drive.
var browserNames = []string{"chromium", "chromium-browser", "google-chrome"}

// seen is what page_browser_test.js finds in the page that is shown.
type seen struct {
	Inner, Scroll int // widths
	Verdict       struct {
		Text        string
		Edge        string // the role of its colour
		Top, Bottom float64
	}
	InnerHeight float64
	Charts      []struct {
		Title                    string
		Width, Height            float64
		AxisLeft, AxisRight, Ink float64  // Ink is how many lines of a series are drawn
		Cut                      []string // texts that reach over the drawing's edge
	}
	Outage   struct{ X, Y, Width, Height float64 } // of the first chart's shading, in the page
	Worst    float64                               // contrast
	WorstOf  string
	Headings []string
	Scripts  int
}

//go:embed page_browser_test.js
var look string

func browserPath(t *testing.T) string {
	t.Helper()
	for _, name := range browserNames {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("REPORT.HTML IS NOT TESTED IN A BROWSER: there is no chromium in PATH; scripts/browser.sh installs it")
	return ""
}

// openBrowser starts one; its tabs end with it.
func openBrowser(t *testing.T) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(browserPath(t)), chromedp.UserDataDir(t.TempDir()))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // it refuses to run as root with one
	}
	ctx, cancel := context.WithTimeout(t.Context(), browserTimeout)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	ctx, closeBrowser := chromedp.NewContext(ctx)
	t.Cleanup(closeBrowser)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	return ctx
}

// overheard is what a tab asked of the network, and complained of.
type overheard struct {
	sync.Mutex
	requests, complaints []string
}

func (o *overheard) listen(ctx context.Context) error {
	return chromedp.Listen(ctx, func(event any) {
		o.Lock()
		defer o.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			o.requests = append(o.requests, e.Request.URL)
		case *runtime.EventConsoleAPICalled:
			o.complaints = append(o.complaints, fmt.Sprintf("console.%s", e.Type))
		case *runtime.EventExceptionThrown:
			o.complaints = append(o.complaints, e.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			o.complaints = append(o.complaints, e.Entry.Text)
		}
	})
}

func TestPageInABrowser(t *testing.T) {
	root := openBrowser(t)
	kept := os.Getenv(screenshotsEnv)
	for _, run := range []struct {
		name, dir, verdict, edge string
	}{
		{"red", saved, "REPRODUCED", "pass"},
		{"green", greenRun(t), "AS EXPECTED", "pass"},
		{"held", greenRun(t, scenario.Expectation{Versions: []string{"v1.8.1"}, Violations: []string{"connections-trend"}}), "NOT REPRODUCED", "fail"},
		{"torn", tornRun(t), "INCONCLUSIVE", "inconclusive"},
	} {
		v, err := Judge(run.dir)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), PageFile)
		if err := v.WritePage(run.dir, path); err != nil {
			t.Fatal(err)
		}
		for _, size := range []struct {
			name          string
			width, height int64
		}{{"phone", 390, 844}, {"desktop", 1280, 800}} {
			for _, medium := range []struct{ name, media, scheme string }{
				{"light", "screen", "light"}, {"dark", "screen", "dark"}, {"print", "print", "dark"}, // paper is light whatever the reader's scheme
			} {
				if medium.media == "print" && size.name == "phone" {
					continue // no paper is as narrow
				}
				name := strings.Join([]string{run.name, size.name, medium.name}, "-")
				t.Run(name, func(t *testing.T) {
					g := NewWithT(t)
					tab, closeTab := chromedp.NewContext(root)
					defer closeTab()
					var heard overheard
					g.Expect(heard.listen(tab)).To(Succeed())
					g.Expect(show(tab, "file://"+path, size.width, size.height, medium.media, medium.scheme)).To(Succeed())
					s, err := chromedp.Run(tab, chromedp.Evaluate[seen](look))
					g.Expect(err).NotTo(HaveOccurred())
					shot, err := chromedp.Run(tab, chromedp.FullScreenshot(100))
					g.Expect(err).NotTo(HaveOccurred())
					keep(t, kept, name+".png", shot)
					if medium.media == "print" {
						pdf, err := chromedp.Run(tab, chromedp.PrintToPDF())
						g.Expect(err).NotTo(HaveOccurred())
						keep(t, kept, name+".pdf", pdf)
						g.Expect(pdf).To(HavePrefix("%PDF"))
					}

					heard.Lock()
					defer heard.Unlock()
					g.Expect(heard.requests).To(HaveExactElements("file://"+path), "nothing but the page itself is loaded")
					g.Expect(heard.complaints).To(BeEmpty())
					g.Expect(s.Scripts).To(BeZero())

					g.Expect(s.Inner).To(BeEquivalentTo(size.width))
					g.Expect(s.Scroll).To(BeNumerically("<=", s.Inner), "nothing reaches over the side")
					g.Expect(s.Verdict.Text).To(Equal(run.verdict))
					g.Expect(s.Verdict.Edge).To(Equal(run.edge), "the colour goes with the exit code")
					g.Expect(s.Verdict.Top).To(BeNumerically(">=", 0))
					g.Expect(s.Verdict.Bottom).To(BeNumerically("<=", s.InnerHeight), "the verdict is on the first screen")
					g.Expect(s.Headings).To(Equal([]string{"Bounds", "Timeline", "Recovery", "Violations", "What grew", "Outages, as carried out", "Environment", "Repeat it"}))

					g.Expect(len(s.Charts)).To(BeNumerically(">=", 5))
					for _, c := range s.Charts {
						g.Expect(c.Width).To(BeNumerically(">", 0.8*float64(size.width)-250), c.Title)
						g.Expect(c.Height).To(BeNumerically(">=", leastHeight), c.Title)
						g.Expect(c.AxisLeft).To(BeNumerically("~", s.Charts[0].AxisLeft, 0.6), "%s begins where the others begin", c.Title)
						g.Expect(c.AxisRight).To(BeNumerically("~", s.Charts[0].AxisRight, 0.6), "%s ends where the others end", c.Title)
						g.Expect(c.AxisRight-c.AxisLeft).To(BeNumerically(">", 0.7*c.Width), c.Title)
						g.Expect(c.Cut).To(BeEmpty(), c.Title)
						g.Expect(c.Ink).To(BeNumerically(">", 0), "%s shows something", c.Title)
					}
					g.Expect(s.Worst).To(BeNumerically(">=", readableContrast), s.WorstOf)

					picture, err := png.Decode(bytes.NewReader(shot))
					g.Expect(err).NotTo(HaveOccurred())
					g.Expect(colours(picture)).To(BeNumerically(">=", someColours), "the picture is not blank")
					g.Expect(s.Outage.Width).To(BeNumerically(">=", 2))
					inside := picture.At(int(s.Outage.X+s.Outage.Width/2), int(s.Outage.Y+2))
					beside := picture.At(int(s.Outage.X-3), int(s.Outage.Y+2))
					g.Expect(inside).NotTo(Equal(beside), "the outage is shaded")
				})
			}
		}
	}
}

// show opens a page as one reader sees it.
func show(tab context.Context, url string, width, height int64, media, scheme string) error {
	if _, err := chromedp.Call(tab, network.Enable, network.EnableParams{}); err != nil {
		return err
	}
	screen := emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1}
	if _, err := chromedp.Call(tab, emulation.SetDeviceMetricsOverride, screen); err != nil {
		return err
	}
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
	if _, err := chromedp.Call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: media, Features: features}); err != nil {
		return err
	}
	return chromedp.Do(tab, chromedp.Navigate(url))
}

func keep(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	if dir == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Errorf("keep a screenshot: %v", err)
	}
}

// colours that differ in a picture, looked at in every few pixels.
func colours(picture image.Image) int {
	const few = 3
	different := map[[3]uint32]bool{}
	bounds := picture.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y += few {
		for x := bounds.Min.X; x < bounds.Max.X; x += few {
			r, g, b, _ := picture.At(x, y).RGBA()
			different[[3]uint32{r, g, b}] = true
		}
	}
	return len(different)
}
