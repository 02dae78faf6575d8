package trial

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"imgbuild/builder/launch"
	"imgbuild/images/report"
)

// container is a guest.
type container struct{ *launch.Container }

var _ subject = container{}

func (c container) Run(ctx context.Context, command []string) error {
	out, err := c.Container.Run(ctx, command)
	return withWords(err, out)
}

func (c container) Listens(ctx context.Context, port int) error { return listens(ctx, c, port) }

func (c container) Started(ctx context.Context) error { return c.WaitStarted(ctx) }

// Settle returns at once: when its process has started, a container has.
func (c container) Settle(context.Context) error { return nil }

// Standing asks whether it still runs: its standard input is open, and nothing
// has told it to end.
func (c container) Standing(context.Context) []report.Answer {
	runs := report.Answer{Name: "process", Asked: "it runs"}
	select {
	case <-c.Ended():
		runs.Error = oneLine(c.Explain(errors.New("it has ended by itself")))
	default:
	}
	return []report.Answer{runs}
}

// Integrity asks nothing: the layers of a container are not written to.
func (c container) Integrity(context.Context) []report.Answer { return nil }

func (c container) Sockets(context.Context) ([]socket, error) {
	return gather(func(i int) (string, error) {
		text, err := c.Proc(tables[i])
		if errors.Is(err, fs.ErrNotExist) && strings.HasSuffix(tables[i], "6") {
			return "", nil
		}
		return text, err
	})
}

func (c container) Owner(_ context.Context, s socket) string {
	return strings.Join(c.Container.Owner(s.Inode), ", ")
}

// Escape tries from the container's network; its files and programs have no
// part in it.
func (c container) Escape(ctx context.Context, b *beacon) []report.Answer {
	route, err := c.Proc("net/route")
	var around surroundings
	if err == nil {
		around, err = readSurroundings("", route)
	}
	list := targets(b, around)
	if err != nil {
		return untried(list, err)
	}
	words, errs := make([]string, len(list)), make([]error, len(list))
	var group sync.WaitGroup
	for i, t := range list {
		group.Go(func() {
			errs[i] = c.Inside(func() (err error) {
				words[i], err = attempt(ctx, t)
				return err
			})
		})
	}
	group.Wait()
	return isolation(list, words, errs)
}

// stopPatience is how long a container may take to end when it is stopped.
const stopPatience = 10 * time.Second

func (c container) Restart(ctx context.Context) error { return c.Container.Restart(ctx, stopPatience) }

func (c container) Journal(context.Context) (string, error) { return "", nil }

// untried says of each target that it could not be tried.
func untried(list []target, err error) []report.Answer {
	words, errs := make([]string, len(list)), make([]error, len(list))
	for i := range errs {
		errs[i] = fmt.Errorf("asking the image: %w", err)
	}
	return isolation(list, words, errs)
}
