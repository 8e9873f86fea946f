package images

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

func keyOf(texts ...[]string) string {
	h := newHasher("test")
	for _, text := range texts {
		h.text(text[0], text[1:]...)
	}
	return h.key()
}

// No two lists of inputs may meet in one key by moving a border.
func TestKeyOfTexts(t *testing.T) {
	g := NewWithT(t)
	g.Expect(keyOf([]string{"name", "value"})).To(And(Equal(keyOf([]string{"name", "value"})), HaveLen(keyLength)))
	lists := [][][]string{
		{}, {{"n"}}, {{"n", ""}}, {{"n", "", ""}}, {{"n"}, {"n"}},
		{{"n", "ab", "c"}}, {{"n", "a", "bc"}}, {{"n", "abc"}}, {{"n", "abc", ""}}, {{"n", "c", "ab"}},
		{{"n a", "b"}}, {{"n", "a b"}}, {{"n a b"}}, {{"n", "a\n1 b"}}, {{"n", "a", "b"}}, {{"n", "a"}, {"n", "b"}}, {{"n", "a", "1 n 1\n1 b"}},
		{{"n", "a\nb", "c"}}, {{"n", "a", "b\nc"}}, {{"n", "a\n0 b", "c"}}, {{"n", "a", "b\n0 c"}},
	}
	seen := map[string][][]string{}
	for _, list := range lists {
		key := keyOf(list...)
		g.Expect(seen).NotTo(HaveKey(key), "%q has the key of %q", list, seen[key])
		seen[key] = list
	}
	g.Expect(newHasher("a").key()).NotTo(Equal(newHasher("b").key()), "kinds have keys of their own")
}

func treeKey(t *testing.T, root string) string {
	t.Helper()
	h := newHasher("test")
	if err := h.tree(root, nil); err != nil {
		t.Fatal(err)
	}
	return h.key()
}

func sample(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	write(t, root, map[string]string{"go.mod": "module x\n", "cmd/main.go": "package main\n", "run.sh*": "#!/bin/sh\n", "empty": ""})
	if err := os.Symlink("go.mod", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestKeyOfATree(t *testing.T) {
	g := NewWithT(t)
	want := treeKey(t, sample(t))
	g.Expect(treeKey(t, sample(t))).To(Equal(want), "where the tree lies is no input")

	must := func(err error) { g.Expect(err).NotTo(HaveOccurred()) }
	for name, change := range map[string]func(root string){
		"content":       func(root string) { write(t, root, map[string]string{"cmd/main.go": "package mein\n"}) },
		"empty content": func(root string) { write(t, root, map[string]string{"empty": "\n"}) },
		"name":          func(root string) { must(os.Rename(filepath.Join(root, "empty"), filepath.Join(root, "emptz"))) },
		"directory":     func(root string) { must(os.Rename(filepath.Join(root, "cmd"), filepath.Join(root, "cme"))) },
		"exec bit set":  func(root string) { must(os.Chmod(filepath.Join(root, "empty"), 0o755)) },
		"exec bit gone": func(root string) { must(os.Chmod(filepath.Join(root, "run.sh"), 0o644)) },
		"absent file":   func(root string) { must(os.Remove(filepath.Join(root, "empty"))) },
		"one more file": func(root string) { write(t, root, map[string]string{"new": ""}) },
		"symlink target": func(root string) {
			must(os.Remove(filepath.Join(root, "link")))
			must(os.Symlink("run.sh", filepath.Join(root, "link")))
		},
		"symlink to copy": func(root string) {
			must(os.Remove(filepath.Join(root, "link")))
			write(t, root, map[string]string{"link": "module x\n"})
		},
		"content and its neighbor's swapped": func(root string) {
			write(t, root, map[string]string{"go.mod": "package main\n", "cmd/main.go": "module x\n"})
		},
	} {
		root := sample(t)
		change(root)
		g.Expect(treeKey(t, root)).NotTo(Equal(want), name)
	}
	// What changes nothing in an image changes no key.
	root := sample(t)
	must(os.Chmod(filepath.Join(root, "empty"), 0o600))
	must(os.Chmod(filepath.Join(root, "run.sh"), 0o700))
	must(os.Mkdir(filepath.Join(root, "no-file-in-it"), 0o755))
	g.Expect(treeKey(t, root)).To(Equal(want), "who may read a file, and empty directories")
}

func TestKeyOfNamedFiles(t *testing.T) {
	g := NewWithT(t)
	root := sample(t)
	key := func(names ...string) string {
		h := newHasher("test")
		g.Expect(h.files(root, names)).To(Succeed())
		return h.key()
	}
	g.Expect(key("empty", "go.mod")).To(Equal(key("go.mod", "empty", "go.mod")), "order and repetition say nothing")
	g.Expect(key("go.mod", "gone")).NotTo(Equal(key("go.mod")), "a name that has gone is an input")
	g.Expect(key("go.mod", "gone")).NotTo(Equal(key("go.mod", "lost")))
	before := key("empty")
	g.Expect(os.Remove(filepath.Join(root, "empty"))).To(Succeed())
	g.Expect(key("empty")).NotTo(Equal(before), "an empty file is not an absent one")
	// git still lists dir/file when a file has taken the directory's place.
	g.Expect(key("go.mod/was/a/directory")).To(Equal(key("go.mod/was/a/directory")))
}

func TestTreeThatIsNotThere(t *testing.T) {
	g := NewWithT(t)
	g.Expect(newHasher("test").tree(filepath.Join(t.TempDir(), "gone"), nil)).To(MatchError(os.ErrNotExist))
	g.Expect(newHasher("test").file("x", filepath.Join(t.TempDir(), "gone"))).To(MatchError(os.ErrNotExist))
}

func TestKeyOfANestedProgram(t *testing.T) {
	b := newBuilder(t)
	key := func(root string, change func(*program)) string {
		p := moduleSource{b}.nested(program{name: "p", dir: root, packages: []string{"."}, ldflags: "-s"})
		change(&p)
		e, err := p.entry(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		return e.key
	}
	same := func(*program) {}
	g := NewWithT(t)
	root := sample(t)
	want := key(root, same)
	write(t, root, map[string]string{"cmd/main_test.go": "package main\n"})
	g.Expect(key(root, same)).To(Equal(want), "tests are in no binary")
	for name, change := range map[string]func(*program){
		"flags":    func(p *program) { p.ldflags = "-w" },
		"tags":     func(p *program) { p.tags = "netgo" },
		"cgo":      func(p *program) { p.cgo = true },
		"packages": func(p *program) { p.packages = []string{"./cmd"} },
	} {
		g.Expect(key(root, change)).NotTo(Equal(want), name)
	}
	write(t, root, map[string]string{"cmd/latest.go": "package main\n"})
	g.Expect(key(root, same)).NotTo(Equal(want))
}

func TestJoinKey(t *testing.T) {
	NewWithT(t).Expect(joinKey("a/b", "0123")).To(Equal("a-b-0123"))
}

// The go of the PATH compiles, or one that the module's go.mod asks for.
func TestKeyHasTheCompiler(t *testing.T) {
	g := NewWithT(t)
	b := newBuilder(t)
	root := sample(t)
	key := func(version string) string {
		path := t.TempDir()
		write(t, path, map[string]string{"go*": "#!/bin/sh\n[ \"$*\" = 'env GOVERSION' ] && echo " + version + "\n"})
		t.Setenv("PATH", path+":"+os.Getenv("PATH"))
		e, err := moduleSource{b}.nested(program{dir: root, packages: []string{"."}}).entry(t.Context(), b)
		g.Expect(err).NotTo(HaveOccurred())
		return e.key
	}
	g.Expect(key("go1.26.1")).NotTo(Equal(key("go1.26.2")))
}
