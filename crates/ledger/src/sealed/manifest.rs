//! The manifest `.seal` of a sealed set: strict text, written as it is read. Opens no file.

use std::fmt::Write as _;

use tlog::{Frontier, Hash};

use super::BUNDLE;
use crate::sealed::write::sha256;

/// Size and digest of one file of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Bytes of the whole file.
    pub bytes: u64,
    /// SHA-256 of the whole file.
    pub digest: [u8; 32],
}

/// What the manifest of a set says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Origin of the ledger.
    pub origin: String,
    /// First entry.
    pub first: u64,
    /// One past the last entry.
    pub end: u64,
    /// `received_at` of first and last entry, nanoseconds.
    pub received: (u64, u64),
    /// The tree of size `end`.
    pub frontier: Frontier,
    /// The file of leaves.
    pub leaves: Part,
    /// Bytes of the file of bodies (audit ledgers).
    pub bodies: Option<u64>,
    /// The file of tags (audit ledgers).
    pub tags: Option<Part>,
    /// The file of hashes.
    pub tiles: Part,
    /// Digest of the manifest before, of `LEDGER` in the first.
    pub previous: [u8; 32],
}

impl Manifest {
    /// The text as stored.
    pub fn to_text(&self) -> String {
        let mut text = format!(
            "proofbook-seal/1\norigin {}\nfirst {}\nend {}\nreceived {} {}\nroot {}\nfrontier",
            self.origin,
            self.first,
            self.end,
            self.received.0,
            self.received.1,
            self.frontier.root().b64()
        );
        for hash in self.frontier.hashes() {
            text.push(' ');
            text.push_str(&hash.b64());
        }
        let hex = |digest: &[u8; 32]| Hash(*digest).hex();
        // Writing into a String cannot fail.
        let _ = write!(text, "\nleaves {} {}\n", self.leaves.bytes, hex(&self.leaves.digest));
        if let (Some(bodies), Some(tags)) = (self.bodies, &self.tags) {
            let _ = write!(text, "bodies {bodies}\ntags {} {}\n", tags.bytes, hex(&tags.digest));
        }
        let _ = writeln!(text, "tiles {} {}", self.tiles.bytes, hex(&self.tiles.digest));
        let _ = writeln!(text, "previous {}", hex(&self.previous));
        let digest = hex(&sha256(&[text.as_bytes()]));
        let _ = writeln!(text, "digest {digest}");
        text
    }

    /// Reads what `to_text` writes and nothing else; `None` for any other bytes.
    pub fn parse(bytes: &[u8]) -> Option<Manifest> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.lines().peekable();
        (lines.next()? == "proofbook-seal/1").then_some(())?;
        let origin = field(lines.next()?, "origin")?.to_owned();
        let first = field(lines.next()?, "first")?.parse().ok()?;
        let end = field(lines.next()?, "end")?.parse().ok()?;
        let (from, to) = field(lines.next()?, "received")?.split_once(' ')?;
        let received = (from.parse().ok()?, to.parse().ok()?);
        lines.next()?.starts_with("root ").then_some(())?;
        let hashes = field(lines.next()?, "frontier")?.split(' ').map(Hash::from_b64).collect::<Option<Vec<_>>>()?;
        let frontier = Frontier::from_parts(end, hashes)?;
        let leaves = part(field(lines.next()?, "leaves")?)?;
        let (mut bodies, mut tags) = (None, None);
        if let Some(bytes) = lines.peek().and_then(|line| field(line, "bodies")) {
            bodies = Some(bytes.parse().ok()?);
            lines.next();
            tags = Some(part(field(lines.next()?, "tags")?)?);
        }
        let tiles = part(field(lines.next()?, "tiles")?)?;
        let previous = Hash::from_hex(field(lines.next()?, "previous")?)?.0;
        let manifest = Manifest { origin, first, end, received, frontier, leaves, bodies, tags, tiles, previous };
        let whole = first < end && first.is_multiple_of(BUNDLE) && end.is_multiple_of(BUNDLE);
        // Root, digest, order and spelling are all checked by writing it again.
        (whole && manifest.to_text() == text).then_some(manifest)
    }
}

fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.strip_prefix(name)?.strip_prefix(' ')
}

fn part(text: &str) -> Option<Part> {
    let (bytes, digest) = text.split_once(' ')?;
    Some(Part { bytes: bytes.parse().ok()?, digest: Hash::from_hex(digest)?.0 })
}
