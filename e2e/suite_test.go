// Package e2e is the Ginkgo suite. It needs a container engine, takes minutes,
// and runs only when BLACKOUT_E2E is set: make test-e2e.
package e2e

import (
	"fmt"
	"os"
	"testing"

	"github.com/go-logr/logr"
	. "github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	. "github.com/onsi/gomega"
	"k8s.io/klog/v2"
)

const (
	envRun      = "BLACKOUT_E2E"
	envLonghorn = "LONGHORN"
	envImages   = "IMAGES"
	envResults  = "RESULTS"
)

func TestE2E(t *testing.T) {
	if os.Getenv(envRun) == "" {
		t.Skip("the suite on kind is not asked for: make test-e2e runs it")
	}
	// client-go logs what it returns as well; what it returns is reported.
	klog.SetLogger(logr.Discard())
	RegisterFailHandler(Fail)
	if suite, _ := GinkgoConfiguration(); suite.DryRun {
		for _, spec := range PreviewSpecs("Blackout").SpecReports {
			if plan, found := plans[spec.LeafNodeText]; found && spec.State.Is(types.SpecStatePassed) {
				fmt.Println(plan)
			}
		}
	}
	RunSpecs(t, "Blackout")
}
