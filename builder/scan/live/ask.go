package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"imgbuild/images/fault"
	"imgbuild/provisioners/agent"
)

// The exit codes of the script for what is not the program's own failure.
const (
	exitNoPlace  = 70
	exitDamaged  = 71
	exitNoRights = 72
)

// sojourn is how long the program may run on a server, for all it is asked.
const sojourn = 15 * time.Minute

// script receives the program and the question in a directory of its own and runs
// the commands. It removes the directory however it ends: also when the
// connection is gone, for then its input ends, or its output is refused. What is
// sent is held against the digest before it runs. Places are tried in turn, for
// on hardened servers nothing runs below /tmp.
const script = `umask 077
dir=
trap '[ -z "$dir" ] || rm -rf "$dir"' EXIT
trap 'exit 75' HUP INT TERM PIPE
for place in "${TMPDIR:-}" "/run/user/$(id -u)" /tmp /var/tmp "$HOME"; do
  [ -d "$place" ] && dir=$(mktemp -d "$place/imgbuild.XXXXXXXXXX" 2>/dev/null) || { dir=; continue; }
  printf '#!/bin/sh\nexit 0\n' >"$dir/try" && chmod 700 "$dir/try" && "$dir/try" 2>/dev/null && break
  rm -rf "$dir"; dir=
done
[ -n "$dir" ] || exit %[1]d
rm -f "$dir/try"
head -c %[3]d >"$dir/imgbuild-guest" && head -c %[4]d >"$dir/question" || exit %[2]d
printf '%%s  %%s\n' %[5]s "$dir/imgbuild-guest" %[6]s "$dir/question" | sha256sum -c --status - || exit %[2]d
chmod 500 "$dir/imgbuild-guest"
%[7]s
for command in %[8]s; do
  timeout %[9]d $as "$dir/imgbuild-guest" "$command" <"$dir/question" || exit
done
`

// become sets how the program runs as root.
const become = `as="sudo -n"
$as true || exit %d`

// ask sends the program, has it answer the question once for each command, and
// takes it away again.
func (s *Server) ask(ctx context.Context, guest *Guest, question *agent.Question, commands []string) ([]*agent.Answer, error) {
	limited, cancel := context.WithTimeout(ctx, sojourn)
	defer cancel()
	asked, err := json.Marshal(question)
	if err != nil {
		return nil, fmt.Errorf("writing the question: %w", err)
	}
	if len(asked) > agent.MaxQuestion {
		return nil, fault.Inputf("the controls are too large to be sent: %d bytes, at most %d", len(asked), agent.MaxQuestion)
	}
	program, err := guest.load(s.Facts.Architecture)
	if err != nil {
		return nil, err
	}
	as := "as="
	if !s.Facts.Root {
		as = fmt.Sprintf(become, exitNoRights)
	}
	out, err := s.run(limited, fmt.Sprintf(script, exitNoPlace, exitDamaged, len(program), len(asked), sum(program), sum(asked), as,
		strings.Join(commands, " "), int(sojourn.Seconds())),
		io.MultiReader(bytes.NewReader(program), bytes.NewReader(asked)), agent.MaxAnswer)
	if ctx.Err() != nil {
		return nil, ctx.Err() // it breaks the connection, perhaps before limited ends
	}
	var end *ended
	switch errors.As(err, &end); {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fault.Worldf("imgbuild-guest did not answer within %s", sojourn)
	case end == nil && err != nil:
		return nil, err
	case end != nil && end.status == exitNoPlace:
		return nil, fault.Worldf("there is no directory on the server that a program can run in").
			WithHint("/run/user/UID, /tmp, /var/tmp and the home of %s were tried: one must not be mounted noexec", s.Host.User)
	case end != nil && end.status == exitDamaged:
		return nil, fault.Worldf("imgbuild-guest or its question did not arrive as it was sent, and was not run").Because(end)
	case end != nil && end.status == exitNoRights:
		return nil, fault.Worldf("%s may not become root by sudo without a password", s.Host.User).Because(end).
			WithHint("log in as one who may, or as root: much of a server is not everybody's to read")
	}
	return answers(out, len(commands), end)
}

// answers reads one line a command. How the script ended explains what is
// missing.
func answers(out []byte, count int, end *ended) ([]*agent.Answer, error) {
	var list []*agent.Answer
	for line := range bytes.Lines(out) {
		answer, err := agent.ReadAnswer(bytes.NewReader(line))
		if err != nil {
			return nil, fmt.Errorf("on the server: %w", err)
		}
		list = append(list, answer)
	}
	if end != nil {
		return nil, end
	}
	if len(list) != count {
		return nil, fmt.Errorf("the server gives %d answers, %d were asked for", len(list), count)
	}
	return list, nil
}
