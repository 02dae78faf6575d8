package records

// Hold bounds a store to a number of records.
func (s *Store) Hold(most int) { s.most = most }
