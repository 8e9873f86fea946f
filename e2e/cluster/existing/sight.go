package existing

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// state of a node's power.
type state string

const (
	on      state = "on"
	off     state = "off"
	unknown state = "unknown"
)

// sight is what one look at a node's power saw.
type sight struct {
	state    state
	at       time.Time
	evidence string
	// boot tells what the API server says of the node's kernel, if it was asked.
	boot boot
}

type boot string

const (
	sameBoot boot = "same" // as before the cut
	nextBoot boot = "next"
)

func (s sight) clear() bool { return s.state != unknown }

// dead: a kernel that was followed by another has ended, too.
func (s sight) dead() bool { return s.state == off || s.boot == nextBoot }

// back: as long as the API server tells the kernel of before, it is not.
func (s sight) back() bool { return s.state == on && s.boot != sameBoot }

const (
	kubeletPort = "10250"
	// A look at the port is over after so many attempts without any answer, each
	// of which may take so long, with such a pause.
	silences     = 3
	dialTimeout  = time.Second
	silencePause = 200 * time.Millisecond
)

type dialer func(ctx context.Context, address string) error

func dial(ctx context.Context, address string) error {
	connection, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return connection.Close()
}

// lookAtPort judges a node by the port of its kubelet. An answer, even that it is
// closed, comes from a running kernel. Silence is all that a machine without
// power gives, but also one whose network alone is gone.
func lookAtPort(ctx context.Context, dial dialer, address string) sight {
	if address == "" {
		return sight{state: unknown, at: time.Now(), evidence: "the node has no address to look at"}
	}
	s := sight{state: off}
	silent := 0
	endpoint := net.JoinHostPort(address, kubeletPort)
	err := wait.PollUntilContextCancel(ctx, silencePause, true, func(ctx context.Context) (bool, error) {
		began := time.Now()
		err := dial(ctx, endpoint)
		var late net.Error
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err()
		case err == nil:
			s = sight{state: on, at: time.Now(), evidence: endpoint + " takes connections"}
			return true, nil
		case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
			s = sight{state: on, at: time.Now(), evidence: endpoint + " refuses connections: no kubelet, but a kernel that runs"}
			return true, nil
		case errors.Is(err, syscall.EHOSTUNREACH), errors.As(err, &late) && late.Timeout():
			if silent++; silent == 1 {
				s.at = began
			}
			s.evidence = fmt.Sprintf("%s did not answer %d times in a row (%v)", endpoint, silent, err)
			return silent == silences, nil
		default:
			return false, err
		}
	})
	if err != nil {
		return sight{state: unknown, at: time.Now(), evidence: fmt.Sprintf("%s cannot be looked at: %v", endpoint, err)}
	}
	return s
}
