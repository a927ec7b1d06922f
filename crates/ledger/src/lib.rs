//! The append-only Merkle log on disk: sequencer, write-ahead segments, sealed files, checkpoints, recovery, fsck.
