// Package proofcontrols has no code: its tests hold every shipped control to its
// word on real trees. Debian as it comes is baked once for each release, and
// each control is tried on a view of it that keeps changes in memory: what the
// stock tree gets, that applying makes it pass and applying again changes
// nothing, and that whatever a person would do to undo it is noticed, by the
// name of what was undone.
package proofcontrols
