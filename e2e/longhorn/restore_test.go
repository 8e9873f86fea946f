package longhorn

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"k8s.io/apimachinery/pkg/api/resource"
)

func TestRestoresMissing(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Volume, *VolumeAttachment)
		want   string
		fails  string
	}{
		"restored and detached": {func(*Volume, *VolumeAttachment) {}, "", ""},
		"no sign yet":           {func(v *Volume, _ *VolumeAttachment) { v.Status.RestoreInitiated = false }, "not restored", ""},
		"under way":             {func(v *Volume, _ *VolumeAttachment) { v.Status.RestoreRequired = true }, "not restored: RestoreInProgress", ""},
		"failed": {func(v *Volume, _ *VolumeAttachment) {
			v.Status.RestoreRequired = true
			v.Status.Conditions[0] = Condition{Type: "Restore", Reason: "RestoreFailure", Message: "all replicas failed"}
		}, "", "volume v could not be restored: all replicas failed"},
		"still held": {func(_ *Volume, a *VolumeAttachment) {
			a.Spec.AttachmentTickets = map[string]*AttachmentTicket{"r": {Type: "volume-restore-controller"}}
		}, "to be let go", ""},
		"still attached": {func(v *Volume, _ *VolumeAttachment) { v.Status.State = VolumeAttached }, `restored and "attached"`, ""},
		"attached by us, the second time": {func(v *Volume, a *VolumeAttachment) {
			v.Status.State = VolumeAttached
			a.Spec.AttachmentTickets = map[string]*AttachmentTicket{TicketID: {Type: ticketType}}
		}, "", ""},
		"no volume":     {func(v *Volume, _ *VolumeAttachment) { v.Name = "w" }, "0 of 1; volume v does not exist", ""},
		"no attachment": {func(_ *Volume, a *VolumeAttachment) { a.Name = "w" }, "has no VolumeAttachment", ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			volume := Volume{ObjectMeta: named("v"), Status: VolumeStatus{
				State: VolumeDetached, RestoreInitiated: true,
				Conditions: []Condition{{Type: "Restore", Reason: "RestoreInProgress"}},
			}}
			attachment := VolumeAttachment{ObjectMeta: named("v")}
			test.change(&volume, &attachment)
			got, err := restoresMissing([]Volume{volume}, []VolumeAttachment{attachment}, []string{"v"})
			if test.fails != "" {
				g.Expect(err).To(MatchError(ContainSubstring(test.fails)))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			says(t, got, test.want)
		})
	}
}

func TestBackupsMissing(t *testing.T) {
	read := Backup{ObjectMeta: named("a"), Status: BackupStatus{State: BackupCompleted, VolumeSize: "16777216"}}
	found := Backup{ObjectMeta: named("b"), Status: BackupStatus{Error: "cannot read"}}
	says(t, backupsMissing([]Backup{read}, []string{"a"}), "")
	says(t, backupsMissing([]Backup{read}, []string{"a", "b"}), "1 of 2; no manager has found backup b")
	says(t, backupsMissing([]Backup{read, found}, []string{"b", "a"}), `1 of 2; backup b is "" cannot read`)
	// Without the size a volume would be made with another one.
	read.Status.VolumeSize = ""
	says(t, backupsMissing([]Backup{read}, []string{"a"}), "0 of 1")
}

func TestSyncPending(t *testing.T) {
	at := func(second int) *metav1.Time { return &metav1.Time{Time: cut.Add(time.Duration(second) * time.Second)} }
	for name, test := range map[string]struct {
		asked, synced *metav1.Time
		want          bool
	}{
		"asked": {at(1), at(0), true}, "answered": {at(1), at(2), false}, "in the same second": {at(1), at(1), false},
		"never asked": {nil, at(1), false}, "never read": {at(1), nil, false},
	} {
		target := BackupTarget{Spec: BackupTargetSpec{SyncRequestedAt: test.asked}, Status: BackupTargetStatus{LastSyncedAt: test.synced}}
		NewWithT(t).Expect(syncPending(target)).To(Equal(test.want), name)
	}
}

func TestBackupsOfASet(t *testing.T) {
	g := NewWithT(t)
	set := VolumeSet{Count: 2, Size: resource.MustParse("16Mi"), Replicas: 2, NamePrefix: "vol", Backups: []string{"a", "b"}}
	g.Expect(set.check(2)).To(Succeed())
	set.Backups = set.Backups[:1]
	g.Expect(set.check(2)).To(MatchError(ContainSubstring("1 backups for 2 volumes")))
	s := &System{}
	g.Expect(s.awaitBackups(t.Context(), []string{"s3://backups@us-east-1/?volume=v"})).To(MatchError(ContainSubstring("not the URL of a backup")))
}
