package existing

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
)

func TestThePortOfAKubeletTellsOfPower(t *testing.T) {
	for name, c := range map[string]struct {
		answers []error // the last for ever
		want    state
		said    string
	}{
		"a connection":             {[]error{nil}, on, "192.0.2.2:10250 takes connections"},
		"refused":                  {[]error{syscall.ECONNREFUSED}, on, "a kernel that runs"},
		"silence":                  {[]error{os.ErrDeadlineExceeded}, off, "did not answer 3 times in a row"},
		"nobody at that address":   {[]error{syscall.EHOSTUNREACH}, off, "did not answer 3 times in a row (dial: no route to host)"},
		"silence, then an answer":  {[]error{os.ErrDeadlineExceeded, os.ErrDeadlineExceeded, nil}, on, "takes connections"},
		"this machine's own fault": {[]error{syscall.ENETUNREACH}, unknown, "cannot be looked at"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				asked, began := 0, time.Now()
				s := lookAtPort(t.Context(), func(context.Context, string) error {
					asked++
					err := c.answers[min(asked, len(c.answers))-1]
					if err != nil {
						return &net.OpError{Op: "dial", Err: err}
					}
					return nil
				}, "192.0.2.2")
				g.Expect(s.state).To(Equal(c.want))
				g.Expect(s.evidence).To(ContainSubstring(c.said))
				if c.want == off {
					g.Expect(s.at).To(Equal(began), "silent since then")
					g.Expect(asked).To(Equal(silences))
				}
			})
		})
	}
}

func TestTheRealDialerMeetsAClosedPort(t *testing.T) {
	g := NewWithT(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	address := listener.Addr().String()
	g.Expect(dial(t.Context(), address)).To(Succeed())
	g.Expect(listener.Close()).To(Succeed())
	g.Expect(errors.Is(dial(t.Context(), address), syscall.ECONNREFUSED)).To(BeTrue())
	g.Expect(lookAtPort(t.Context(), dial, "").state).To(Equal(unknown), "no address must not mean this machine")
}
