//! What may go wrong, and what a power cut leaves behind.

use std::io;
use std::path::Path;

use super::state::{DirOp, FileData, Inode, State, Write};
use crate::random::Rng;

const SECTOR: usize = 512;

/// Kinds of operations that faults are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpKind {
    /// Bytes into a file.
    Write,
    /// Bytes of a file to the device.
    Sync,
    /// Names of a folder to the device.
    SyncDir,
    /// A new file.
    Create,
    /// A new folder.
    CreateDir,
    /// Another name.
    Rename,
    /// A file's name goes.
    Remove,
    /// The immutable attribute.
    SetImmutable,
    /// Bytes out of a file; changes nothing, so it is no point for a power cut.
    Read,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Input/output error. A sync that fails so loses the pages for good.
    Eio,
    /// No space left.
    Enospc,
    /// Half of a write arrives, then an error (counts for writes alone).
    Short,
}

impl FaultKind {
    pub(super) fn error(self) -> io::Error {
        match self {
            FaultKind::Eio => io::Error::from_raw_os_error(5),
            FaultKind::Enospc => io::Error::from_raw_os_error(28),
            FaultKind::Short => io::ErrorKind::WriteZero.into(),
        }
    }
}

/// A planned failure.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What fails; `None` is any operation that changes something.
    pub on: Option<OpKind>,
    /// Only files whose path contains this text.
    pub path_has: Option<String>,
    /// Which of those operations, counted from 1 since the fault was added.
    pub nth: u64,
    /// All later ones too.
    pub for_ever: bool,
    /// How.
    pub kind: FaultKind,
}

impl Fault {
    /// The `nth` operation of a kind fails once.
    pub fn once(on: OpKind, nth: u64, kind: FaultKind) -> Fault {
        Fault { on: Some(on), path_has: None, nth, for_ever: false, kind }
    }

    /// The `nth` operation of a kind fails, and all later ones.
    pub fn for_ever(on: OpKind, nth: u64, kind: FaultKind) -> Fault {
        Fault { for_ever: true, ..Fault::once(on, nth, kind) }
    }

    /// Only on paths that contain this text.
    #[must_use]
    pub fn where_path_has(mut self, text: &str) -> Fault {
        self.path_has = Some(text.to_owned());
        self
    }

    pub(super) fn matches(&self, kind: OpKind, path: &Path) -> bool {
        let kind_fits = match self.on {
            Some(on) => on == kind,
            None => kind != OpKind::Read,
        };
        let fault_fits = self.kind != FaultKind::Short || kind == OpKind::Write;
        kind_fits && fault_fits && self.path_has.as_ref().is_none_or(|text| path.to_string_lossy().contains(text))
    }
}

impl Survivors {
    /// The mode of a seed: all of them in turn, `Garbage` only where asked for.
    pub fn of_seed(seed: u64, garbage: bool) -> Survivors {
        match seed % if garbage { 6 } else { 5 } {
            0 => Survivors::Nothing,
            1 => Survivors::All,
            2 => Survivors::Prefix(seed),
            3 => Survivors::Subset(seed),
            4 => Survivors::Sectors(seed),
            _ => Survivors::Garbage(seed),
        }
    }
}

/// What a power cut leaves of that which was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survivors {
    /// Nothing.
    Nothing,
    /// Everything: the cache got to the device in time.
    All,
    /// The first operations in their order, the last one of them in part; the seed says how far.
    Prefix(u64),
    /// Any subset of bytes and of names, lengths before their data.
    Subset(u64),
    /// Any subset of sectors of 512 bytes and of names.
    Sectors(u64),
    /// As `Sectors`, but a sector in flight may also hold garbage.
    Garbage(u64),
}

pub(super) fn survive(state: &mut State, survivors: Survivors) {
    let names = std::mem::take(&mut state.pending_names);
    let mut rng = match survivors {
        Survivors::Nothing | Survivors::All => Rng::new(0),
        Survivors::Prefix(seed) | Survivors::Subset(seed) | Survivors::Sectors(seed) | Survivors::Garbage(seed) => {
            Rng::new(seed)
        }
    };
    let kept_names = keep_names(&names, survivors, &mut rng);
    for inode in &mut state.inodes {
        match inode {
            Inode::Dir { durable, cached } => *cached = durable.clone(),
            Inode::File(file) => {
                let pending = std::mem::take(&mut file.pending);
                keep_writes(&mut file.durable, &pending, survivors, &mut rng);
                file.cached = file.durable.clone();
            }
        }
    }
    for op in kept_names.into_iter().flatten() {
        state.apply(&op, true);
    }
}

fn keep_names(names: &[Vec<DirOp>], survivors: Survivors, rng: &mut Rng) -> Vec<Vec<DirOp>> {
    match survivors {
        Survivors::Nothing => Vec::new(),
        Survivors::All => names.to_vec(),
        Survivors::Prefix(_) => names[..rng.below_usize(names.len() + 1)].to_vec(),
        Survivors::Subset(_) | Survivors::Sectors(_) | Survivors::Garbage(_) => {
            names.iter().filter(|_| rng.one_in(2)).cloned().collect()
        }
    }
}

fn keep_writes(durable: &mut Vec<u8>, pending: &[Write], survivors: Survivors, rng: &mut Rng) {
    match survivors {
        Survivors::Nothing => {}
        Survivors::All => pending.iter().for_each(|w| FileData::put(durable, w.offset, &w.bytes)),
        Survivors::Prefix(_) => {
            let total: usize = pending.iter().map(|w| w.bytes.len()).sum();
            let mut left = rng.below_usize(total + 1);
            for write in pending {
                let take = left.min(write.bytes.len());
                if take > 0 {
                    FileData::put(durable, write.offset, &write.bytes[..take]);
                }
                left -= take;
            }
        }
        Survivors::Subset(_) => {
            for write in pending {
                keep_bytes(durable, write, rng);
            }
        }
        Survivors::Sectors(_) | Survivors::Garbage(_) => {
            for write in pending {
                keep_sectors(durable, write, matches!(survivors, Survivors::Garbage(_)), rng);
            }
        }
    }
}

/// Some writes whole, some not at all, some byte by byte; the length may have grown further than the data.
fn keep_bytes(durable: &mut Vec<u8>, write: &Write, rng: &mut Rng) {
    match rng.below(4) {
        0 => return,
        1 => return FileData::put(durable, write.offset, &write.bytes),
        _ => {}
    }
    let one_in = 1 + rng.below(8);
    let lose = rng.one_in(2);
    for (at, byte) in write.bytes.iter().enumerate() {
        if rng.one_in(one_in) != lose {
            FileData::put(durable, write.offset + at, std::slice::from_ref(byte));
        }
    }
    if rng.one_in(2) {
        let end = write.offset + rng.below_usize(write.bytes.len() + 1);
        if durable.len() < end {
            durable.resize(end, 0);
        }
    }
}

fn keep_sectors(durable: &mut Vec<u8>, write: &Write, garbage: bool, rng: &mut Rng) {
    let mut at = 0;
    while at < write.bytes.len() {
        // Sectors are cut where the device cuts them, not where the write begins.
        let end = ((write.offset + at) / SECTOR + 1) * SECTOR - write.offset;
        let end = end.min(write.bytes.len());
        match rng.below(if garbage { 5 } else { 4 }) {
            0 | 1 => {}
            2 | 3 => FileData::put(durable, write.offset + at, &write.bytes[at..end]),
            _ => {
                let mut garbage = vec![0; end - at];
                rng.fill(&mut garbage);
                FileData::put(durable, write.offset + at, &garbage);
            }
        }
        at = end;
    }
}
