//! Which names a folder may hold, and what stands under each. Opens no file.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::checkpoints;
use crate::durable::Disk;
use crate::sealed::{BUNDLE, file_name};
use crate::segment;

/// Extensions of the files of a sealed set, the manifest last.
pub(super) const SET_EXTENSIONS: [&str; 5] = ["leaves", "bodies", "tags", "tiles", "seal"];
/// Sizes stay below this.
const SIZE_END: u64 = 1 << 63;

/// Names that are not there as they should be, each with its folder in front.
#[derive(Default)]
pub(super) struct Strange {
    pub(super) unfinished: Vec<String>,
    pub(super) unknown: Vec<String>,
}

impl Strange {
    pub(super) fn add(&mut self, folder: &str, name: &str) {
        let list = if name.ends_with(".tmp") { &mut self.unfinished } else { &mut self.unknown };
        list.push(format!("{folder}{name}"));
    }
}

/// What a ledger's folder holds.
#[derive(Default)]
pub(super) struct LedgerNames {
    pub(super) ledger: bool,
    pub(super) keys: bool,
    /// Numbers of the segments, ascending.
    pub(super) segments: Vec<u64>,
    /// Numbers of the checkpoint logs, ascending.
    pub(super) logs: Vec<u64>,
    pub(super) history: bool,
    /// Extensions by the first entry of the set.
    pub(super) sets: BTreeMap<u64, Vec<&'static str>>,
}

/// Names in a folder; one that is not there has none.
pub(super) fn list(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Vec<String>>> {
    match disk.list(dir) {
        Ok(names) => Ok(Some(names)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

impl LedgerNames {
    /// Lists a ledger's folder and those below it.
    pub(super) fn read(disk: &dyn Disk, dir: &Path, strange: &mut Strange) -> io::Result<LedgerNames> {
        let mut found = LedgerNames::default();
        for name in list(disk, dir)?.unwrap_or_default() {
            match name.as_str() {
                "LEDGER" => found.ledger = true,
                "keys" => found.keys = true,
                "wal" | "checkpoints" | "sealed" => {
                    let folder = format!("{name}/");
                    let Some(names) = list(disk, &dir.join(&name))? else {
                        strange.add("", &name);
                        continue;
                    };
                    for below in names.iter().filter(|below| !found.take(&name, below)) {
                        strange.add(&folder, below);
                    }
                }
                _ => strange.add("", &name),
            }
        }
        found.segments.sort_unstable();
        found.logs.sort_unstable();
        Ok(found)
    }

    /// Takes up a name of one of the folders; false for one that has no place there.
    fn take(&mut self, folder: &str, name: &str) -> bool {
        match folder {
            "wal" => segment::number_of(name).map(|number| self.segments.push(number)).is_some(),
            "checkpoints" if name == "history.log" => {
                self.history = true;
                true
            }
            "checkpoints" => checkpoints::log_number(name).map(|number| self.logs.push(number)).is_some(),
            _ => {
                let Some((first, extension)) = set_file(name) else { return false };
                self.sets.entry(first).or_default().push(extension);
                true
            }
        }
    }
}

/// First entry and extension of a file of a sealed set, strictly as written.
fn set_file(name: &str) -> Option<(u64, &'static str)> {
    let (digits, extension) = name.split_once('.')?;
    let extension = SET_EXTENSIONS.into_iter().find(|known| *known == extension)?;
    let first = digits.parse::<u64>().ok()?;
    let known = first < SIZE_END && first.is_multiple_of(BUNDLE) && file_name(first, extension) == name;
    known.then_some((first, extension))
}

/// Whether a name can be that of a ledger's folder.
pub(super) fn is_ulid(name: &str) -> bool {
    let digit = |b| matches!(b, b'0'..=b'9' | b'A'..=b'H' | b'J' | b'K' | b'M' | b'N' | b'P'..=b'T' | b'V'..=b'Z');
    name.len() == 26 && name.bytes().all(digit)
}

/// The number in a first line `<head><number>`, if it is one above 1: written by a newer release.
pub(super) fn is_newer(line: &[u8], head: &str) -> bool {
    let Some(digits) = line.strip_prefix(head.as_bytes()) else { return false };
    let number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) && digits.first() != Some(&b'0');
    number && digits != b"1"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact() {
        assert_eq!(set_file("00000000000000000256.seal"), Some((256, "seal")));
        assert_eq!(set_file("09223372036854775552.tags"), Some((9_223_372_036_854_775_552, "tags")));
        for bad in [
            "256.seal",
            "00000000000000000257.seal",
            "00000000000000000256.seal.tmp",
            "00000000000000000256.seals",
            "+0000000000000000256.seal",
            "09223372036854775808.tags",
        ] {
            assert_eq!(set_file(bad), None, "{bad}");
        }
        assert!(is_ulid("01JD0000000000000000000000") && !is_ulid("01JD000000000000000000000U"));
        for (line, newer) in
            [("x 2", true), ("x 10", true), ("x 1", false), ("x 01", false), ("x 0", false), ("x 2a", false)]
        {
            assert_eq!(is_newer(line.as_bytes(), "x "), newer, "{line}");
        }
        assert!(!is_newer(b"x ", "x ") && !is_newer(b"y 2", "x "));
    }
}
