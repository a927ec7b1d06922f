//! Sealed sets (docs/formats/sealed.md): bundles of leaves and bodies, tags and hashes, under a chained manifest.
//!
//! `codec` knows the bytes of a bundle, `manifest` the `.seal`, `write` makes a set, `check` judges one, `read` answers
//! from them. Decides neither when to seal nor what a segment may be released.

mod bundle;
mod check;
mod codec;
mod files;
mod manifest;
mod pack;
mod parts;
mod read;
mod stream;
mod write;

pub(crate) use check::{Believed, SetJudge, Told};
pub use check::{CheckedSet, check_set};
pub(crate) use codec::gzip;
pub use manifest::{Manifest, Part};
pub(crate) use read::MANIFEST_BYTES_MAX;
pub use read::SealedSets;
pub use write::{SetSpec, SetWriter};

/// Entries of a bundle: the width of a full tile.
pub const BUNDLE: u64 = 256;
pub(crate) const BUNDLE_LEN: usize = 256;
/// Magic, first, end.
pub(crate) const HEADER_BYTES: u64 = 24;
pub(crate) const HEADER_LEN: usize = 24;
/// SHA-256 of all before it.
pub(crate) const TRAILER_BYTES: u64 = 32;
/// Identity and content tag.
pub(crate) const TAGS_BYTES: u64 = 32;
pub(crate) const TAGS_LEN: usize = 32;

/// The name of a file of a set, without folder.
pub(crate) fn file_name(first: u64, extension: &str) -> String {
    format!("{first:020}.{extension}")
}

#[cfg(test)]
mod tests;
