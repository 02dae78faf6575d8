package openscap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// errStill says that a program does nothing any more.
var errStill = errors.New("oscap stood still")

// watch ends a run whose programs have used no processor for a while. oscap 1.3.7
// talks to its probes by threads, and where a machine is busy one of them now and
// then waits for ever for an answer that was given.
func watch(ctx context.Context, end context.CancelCauseFunc, patience time.Duration) {
	look := time.NewTicker(patience / 8)
	defer look.Stop()
	used, since := uint64(0), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-look.C:
			ticks, programs := processorTime(os.Getpid())
			if programs == 0 || ticks != used {
				used, since = ticks, now
			}
			if now.Sub(since) >= patience {
				end(errStill)
				return
			}
		}
	}
}

// processorTime adds up what the descendants of a process have used, in clock
// ticks, and counts them (proc_pid_stat(5)).
func processorTime(ancestor int) (ticks uint64, programs int) {
	type process struct {
		parent int
		ticks  uint64
	}
	all := map[int]process{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // errs on a bad pattern alone
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		// A program's name, in parentheses, may hold anything.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if err != nil || len(fields) < 13 {
			continue
		}
		var p process
		var user, system uint64
		if _, err := fmt.Sscan(strings.Join([]string{fields[1], fields[11], fields[12]}, " "), &p.parent, &user, &system); err != nil {
			continue
		}
		p.ticks = user + system
		all[pid] = p
	}
	for pid, p := range all {
		// A process that ends meanwhile may hand its children on, never in a ring.
		for up, steps := p.parent, 0; up > 1 && steps < len(all); up, steps = all[up].parent, steps+1 {
			if up == ancestor && pid != ancestor {
				ticks, programs = ticks+p.ticks, programs+1
				break
			}
		}
	}
	return ticks, programs
}
