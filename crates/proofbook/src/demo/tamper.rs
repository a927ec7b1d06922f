//! Plays the attacker on a copy of the data folder: finds the stored bytes of one entry and changes one of them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Where a byte was changed.
pub(super) struct Change {
    /// Relative to the data folder.
    pub(super) file: PathBuf,
    pub(super) offset: u64,
    pub(super) after: char,
}

/// Copies a folder, files and folders below it.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in std::fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let entry = entry.with_context(|| format!("cannot list {}", from.display()))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().with_context(|| format!("cannot read {}", source.display()))?;
        if kind.is_dir() {
            // The copy is evidence alone: it gets no keys.
            if entry.file_name() != "vault" {
                copy(&source, &target)?;
            }
        } else if kind.is_file() && entry.file_name() != "bootstrap.token" {
            std::fs::copy(&source, &target).with_context(|| format!("cannot copy {}", source.display()))?;
        }
    }
    Ok(())
}

/// Changes one letter of `word` within the stored bytes `stored`, wherever they lie in the folder.
#[expect(clippy::disallowed_methods, reason = "the attacker's hand on a copy")]
pub(super) fn change(data: &Path, stored: &[u8], word: &str) -> Result<Change> {
    let within = find(stored, word.as_bytes()).context("the word does not stand in the entry")?;
    let mut open = vec![PathBuf::new()];
    while let Some(relative) = open.pop() {
        for entry in std::fs::read_dir(data.join(&relative))? {
            let entry = entry?;
            let path = relative.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                open.push(path);
                continue;
            }
            let mut bytes = std::fs::read(data.join(&path))?;
            let Some(at) = find(&bytes, stored) else { continue };
            let at = at + within + word.len() - 1;
            let Some(byte) = bytes.get_mut(at) else { continue };
            *byte = if *byte == b'x' { b'y' } else { b'x' };
            let after = char::from(*byte);
            std::fs::write(data.join(&path), &bytes)?;
            return Ok(Change { file: path, offset: at as u64, after });
        }
    }
    bail!("the bytes of the entry are in no file of the copy")
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    loop {
        let at = from + haystack.get(from..)?.iter().position(|b| *b == first)?;
        if haystack.get(at..at + needle.len()) == Some(needle) {
            return Some(at);
        }
        from = at + 1;
    }
}
