package workspace

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Replace writes a file so that whoever is killed, and whatever loses its power,
// leaves the old content or the new: the new is synced before it takes the name,
// and the name before Replace returns. The directory is made if it is not there.
func Replace(path string, content []byte) error {
	dir := filepath.Dir(path)
	err := os.MkdirAll(dir, dirMode)
	if err == nil {
		err = writeSynced(path+".new", content)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		err = SyncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("replace %s: %w; free some space, or see who may write there", path, err)
	}
	return nil
}

func writeSynced(path string, content []byte) error {
	const private = 0o600
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, private)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// SyncDir makes the names in a directory durable.
func SyncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
