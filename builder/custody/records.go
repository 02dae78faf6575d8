package custody

import (
	"time"

	"imgbuild/images/updates/life"
	"imgbuild/images/updates/policy"
)

// AddUpdates adds, after locks and catalogs, the files of updates that a lock may still
// take by a policy. What was rejected, what a later one has taken the place of, and what
// locks have had and have no more is not needed for its records. Of records by strangers,
// such as other projects that share the archive, it is not known what came of them: what
// they name is needed.
func (n *Needs) AddUpdates(h *life.History, p policy.Policy, now time.Time) {
	for _, s := range policy.Wanted(h, p, now) {
		n.addUpdate(s.Update, "update "+s.Update.String())
	}
	for _, r := range h.Disregarded {
		if !r.Stranger {
			continue
		}
		for _, u := range r.Record.Updates {
			n.addUpdate(u, "record "+r.Digest[:12])
		}
	}
}

func (n *Needs) addUpdate(u life.Update, by string) {
	if need := n.bySum[u.SHA256]; need == nil || need.waiting {
		n.add(u.SHA256, u.Name+" "+u.Version, by)
	}
}
