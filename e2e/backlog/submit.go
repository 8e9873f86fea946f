package backlog

import (
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"

	"blackout/e2e/longhorn"
	"blackout/e2e/scenario"
)

// between attempts: short at first, because a conflict is over at once, then as
// slow as a machine that boots. After the steps it stays at the cap, for ever.
var between = wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 6, Cap: 3 * time.Second}

// rolesLoaded bounds how long an API server that has just started refuses
// everybody, because it has not read its roles yet.
const rolesLoaded = time.Minute

// attempt is what became of one call.
type attempt int

const (
	done attempt = iota
	conflict
	refused
	unreachable // nobody took it
	forbidden   // by the API server itself
	unclear     // it may have been carried out
	exists
	final // it will not pass by itself
)

// classify says what an error means for the next attempt.
func classify(err error) attempt {
	switch {
	case err == nil:
		return done
	case apierrors.IsAlreadyExists(err):
		return exists
	case apierrors.IsConflict(err):
		return conflict
	case webhookDown(err):
		return refused
	case apierrors.IsForbidden(err) && !strings.Contains(err.Error(), "denied the request"): // a webhook's words
		return forbidden
	case !longhorn.Transient(err):
		return final
	case apierrors.IsTooManyRequests(err), utilnet.IsConnectionRefused(err):
		return unreachable
	default:
		return unclear
	}
}

// webhookDown tells a webhook that did not answer from one that said no: only
// the second is for ever.
func webhookDown(err error) bool {
	return apierrors.IsInternalError(err) && strings.Contains(err.Error(), "failed calling webhook")
}

// once says whether something is there, or no longer, whoever did it.
type once struct {
	// what is done, for an error.
	what string
	call func(ctx context.Context) error
	// seen tells, of an attempt that followed an unclear one, that the unclear
	// one was carried out.
	seen func(attempt) bool
	// counted takes the failed attempts that are tried again.
	counted func(attempt)
}

// until repeats the call until it is carried out. It reports whether an earlier,
// unclear attempt did it, and with an error whether one may have.
func (o once) until(ctx context.Context) (earlier bool, err error) {
	backoff := between
	doubt := false
	var forbiddenSince time.Time
	for {
		err := o.call(ctx)
		got := classify(err)
		switch {
		case got == done:
			return false, nil
		case doubt && o.seen(got):
			return true, nil
		case ctx.Err() != nil:
			return true, fmt.Errorf("%s: %w", o.what, context.Cause(ctx))
		case got == exists:
			return false, fmt.Errorf("%s: %w, and not by this backlog; use another prefix", o.what, err)
		case got == forbidden && !forbiddenSince.IsZero() && time.Since(forbiddenSince) > rolesLoaded:
			return doubt, fmt.Errorf("%s: %w, for %s; check the kubeconfig's user", o.what, err, rolesLoaded)
		case got == final:
			return doubt, fmt.Errorf("%s: %w; see what the webhook says", o.what, err)
		}
		doubt = doubt || got == unclear
		if got != forbidden {
			forbiddenSince = time.Time{}
		} else if forbiddenSince.IsZero() {
			forbiddenSince = time.Now()
		}
		o.counted(got)
		if err := scenario.Pass(ctx, backoff.Step()); err != nil {
			return doubt, fmt.Errorf("%s: %w", o.what, err)
		}
	}
}

// submit makes one backup exist exactly once.
func (q *queue) submit(ctx context.Context, item Item) error {
	earlier, err := once{
		what: fmt.Sprintf("submit backup %s of volume %s", item.Name, item.Volume),
		call: func(ctx context.Context) error {
			return q.client.SubmitBackup(ctx, item.Volume, item.Snapshot, item.Name)
		},
		seen: func(got attempt) bool { return got == exists },
		counted: func(got attempt) {
			q.count(func(t *Totals) {
				t.Retried++
				switch got {
				case conflict:
					t.Conflicts++
				case refused:
					t.Refused++
				default:
					t.Unreachable++
				}
			})
		},
	}.until(ctx)
	q.count(func(t *Totals) {
		switch {
		case err == nil:
			t.Submitted++
			if item.Lost {
				t.Lost++
			}
			if earlier {
				t.Found++
			}
		case earlier:
			t.Unconfirmed++
		}
	})
	return err
}
