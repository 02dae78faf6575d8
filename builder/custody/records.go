package custody

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// The limits on records.
const (
	maxRecord  = 96 << 20
	maxRecords = 1_000_000
)

var digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// AddRecords adds the files of updates that are on their way: what any record
// below dir names, whatever became of it. No signature is asked for, for the worst
// that a forged record does here is to keep a file. A directory that is not there
// has none; a record that cannot be read is an error.
func (n *Needs) AddRecords(dir string) error {
	count := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		if count++; count > maxRecords {
			return fmt.Errorf("there are more than %d records", maxRecords)
		}
		if err := n.addRecord(path); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading records of updates: %w", err)
	}
	return nil
}

func (n *Needs) addRecord(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxRecord+1))
	if err != nil {
		return err
	}
	if len(text) > maxRecord {
		return fmt.Errorf("it has more than %d bytes", maxRecord)
	}
	var envelope struct {
		Payload string `json:"payload"`
	}
	if err := json.Unmarshal(text, &envelope); err != nil {
		return err
	}
	payload, err := base64.StdEncoding.DecodeString(envelope.Payload)
	if err != nil {
		return err
	}
	var record struct {
		Updates []struct {
			Name, Version, SHA256 string
		} `json:"updates"`
	}
	if err := json.Unmarshal(payload, &record); err != nil {
		return err
	}
	for _, u := range record.Updates {
		if !digestForm.MatchString(u.SHA256) {
			return fmt.Errorf("%.80q is no SHA-256 digest", u.SHA256)
		}
		n.add(u.SHA256, u.Name+" "+u.Version, "a record of "+u.Name)
	}
	return nil
}
