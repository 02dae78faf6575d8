package custody

import (
	"fmt"

	"imgbuild/images/updates/records"
)

// AddRecords adds, after locks and catalogs, the files of updates that are on their
// way: what any record names, whatever became of it. No signature is asked for, for the worst that a forged
// record does here is to keep a file. What a damaged record names is not known.
func (n *Needs) AddRecords(store *records.Store) error {
	digests, err := store.Digests()
	if err != nil {
		return err
	}
	for _, digest := range digests {
		envelope, err := store.Read(digest)
		if err != nil {
			n.Unknown = append(n.Unknown, err.Error())
			continue
		}
		record, err := records.Peek(envelope)
		if err != nil {
			n.Unknown = append(n.Unknown, fmt.Sprintf("record %s: %s", store.Path(digest), err))
			continue
		}
		for _, u := range record.Updates {
			if need := n.bySum[u.SHA256]; need != nil && !need.waiting {
				continue // needed by something that says more
			}
			n.add(u.SHA256, u.Name+" "+u.Version, "record "+digest[:12])
		}
	}
	return nil
}
