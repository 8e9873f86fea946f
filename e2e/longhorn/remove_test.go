package longhorn

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestRemoveTakesOnlyWhatIsOfTheRun(t *testing.T) {
	g := NewWithT(t)
	for name, want := range map[string]bool{
		"backlog-1125-0000-abcd-00001": true, "whole-1125-0000-abcd-vol": true,
		"backlog-1125-0000-efgh-00001": false, "nightly-backlog-1125-0000-abcd": false, "": false,
	} {
		backup := Backup{ObjectMeta: named(name)}
		backup.Labels = map[string]string{LabelManaged: "true"}
		g.Expect(ours(&backup, "backlog-1125-0000-abcd", "whole-1125-0000-abcd")).To(Equal(want), name)
	}
	// Without the label nothing is touched, and so no API is asked.
	missing, err := deleteOurs(t.Context(), &System{}, []Backup{{ObjectMeta: named("backlog-1")}}, []string{"backlog-"})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(missing).To(BeEmpty())
}
