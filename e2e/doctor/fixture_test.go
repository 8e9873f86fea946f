package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tree writes files below a directory that stands for "/".
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for path, text := range files {
		full := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(full), privateDir); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), privateFile); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// expect is what every check promises: the status, a word in what was found,
// and, unless it is ok, what that means and what to do.
func expect(t *testing.T, got Check, want Status, found string) {
	t.Helper()
	if got.Status != want {
		t.Errorf("status %s, want %s: %+v", got.Status, want, got)
	}
	if !strings.Contains(got.Found, found) {
		t.Errorf("found %q, want %q in it", got.Found, found)
	}
	if got.Name == "" || got.Found == "" {
		t.Errorf("a check without name or finding: %+v", got)
	}
	if want != OK && (got.Means == "" || got.Do == "") {
		t.Errorf("%s without meaning or remedy: %+v", want, got)
	}
	if strings.Contains(got.Found+got.Means+got.Do, "\n") {
		t.Errorf("more than a line: %+v", got)
	}
}
