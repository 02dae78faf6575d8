// Package life is the life of an update, from its discovery to its approval or
// rejection: the records of its steps, and the state that follows from them. The
// state is computed, never stored: whoever has the same records comes to the same
// state. The package is pure; it verifies no signature (images/updates/records
// does) and knows no policy (images/updates/policy does).
package life
