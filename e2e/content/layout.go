package content

import (
	"path"

	"github.com/longhorn/backupstore"
	"github.com/longhorn/backupstore/util"
)

// The module keeps the paths of its files to itself; these are made of the
// constants that it does show, and a test holds them against what it writes.

// volumePath is <base>/volumes/<ab>/<cd>/<name>, where abcd begins the checksum of
// the name.
func volumePath(volume string) string {
	sum := util.GetChecksum([]byte(volume))
	return path.Join(backupstore.GetBackupstoreBase(), backupstore.VOLUME_DIRECTORY,
		sum[:backupstore.VOLUME_SEPARATE_LAYER1], sum[backupstore.VOLUME_SEPARATE_LAYER1:backupstore.VOLUME_SEPARATE_LAYER2], volume)
}

func backupPath(volume, backup string) string {
	return path.Join(volumePath(volume), backupstore.BACKUP_DIRECTORY,
		backupstore.BACKUP_CONFIG_PREFIX+backup+backupstore.CFG_SUFFIX)
}

func volumeConfigPath(volume string) string {
	return path.Join(volumePath(volume), backupstore.VOLUME_CONFIG_FILE)
}

func blockPath(volume, sum string) string {
	return path.Join(volumePath(volume), backupstore.BLOCKS_DIRECTORY,
		sum[:backupstore.BLOCK_SEPARATE_LAYER1], sum[backupstore.BLOCK_SEPARATE_LAYER1:backupstore.BLOCK_SEPARATE_LAYER2],
		sum+backupstore.BLK_SUFFIX)
}
