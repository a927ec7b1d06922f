//! A whole log in tiles layout, from a folder or by URL: every bundle, every tile, every body, up to the checkpoint.
//!
//! Streams: memory does not grow with the log, but for one hash per 256 entries.

use anyhow::Result;
use sha2::{Digest, Sha256};
use tlog::tile::{Resource, TilePath, bundles_of, tiles_of};
use tlog::{Frontier, Hash, Vkey, decode_bodies, decode_bundle, leaf_hash, perfect_root, verify_checkpoint};

use super::verdict::{Code, Judgement};
use super::{body_digest, note_code};

/// Findings after which looking on tells nothing new.
const FINDINGS_MAX: usize = 1000;
/// Hashes a tile.
const WIDTH: u64 = 256;

/// Where the files of a log come from.
pub(crate) trait Fetch {
    /// Bytes of a file relative to the log's prefix (bundles uncompressed); `None` where it does not exist.
    fn fetch(&self, path: &str) -> Result<Option<Vec<u8>>>;
}

/// What to check against.
pub(crate) struct Terms<'a> {
    pub(crate) keys: &'a [Vkey],
    pub(crate) origin: Option<&'a str>,
    /// A tree seen before: the log must contain it.
    pub(crate) seen: Option<(u64, Hash)>,
    pub(crate) bodies: bool,
}

/// Judges everything; `progress` is told how many entries are done.
pub(crate) fn judge(from: &dyn Fetch, terms: &Terms<'_>, progress: &mut dyn FnMut(u64, u64)) -> Result<Judgement> {
    let mut judgement = Judgement::default();
    judgement.notes.push("unwitnessed");
    let Some(note) = from.fetch("checkpoint")? else {
        judgement.find(Code::FileMissing, Some("checkpoint"), None, "there is no checkpoint".to_owned());
        return Ok(judgement);
    };
    let checkpoint = match verify_checkpoint(&note, terms.keys, terms.origin) {
        Ok(checkpoint) => checkpoint,
        Err(e) => {
            judgement.find(note_code(&e), Some("checkpoint"), None, e.to_string());
            return Ok(judgement);
        }
    };
    judgement.origin = Some(checkpoint.origin.clone());
    judgement.size = checkpoint.size;
    judgement.root = Some(checkpoint.root.b64());
    if let Some((size, _)) = terms.seen
        && size > checkpoint.size
    {
        let detail = format!("{} entries were seen before, the checkpoint covers {}", size, checkpoint.size);
        judgement.find(Code::Rollback, Some("checkpoint"), Some((checkpoint.size, size)), detail);
    }
    let mut walk = Walk {
        from,
        terms,
        judgement,
        frontier: Frontier::new(),
        stored: Frontier::new(),
        roots: Vec::new(),
        whole: true,
        differ: Vec::new(),
    };
    for path in bundles_of(checkpoint.size) {
        walk.bundle(path)?;
        progress((path.index * WIDTH + u64::from(path.width)).min(checkpoint.size), checkpoint.size);
        if walk.judgement.findings.len() >= FINDINGS_MAX {
            break;
        }
    }
    walk.upper_tiles(checkpoint.size)?;
    walk.settle(&checkpoint.root, checkpoint.size);
    Ok(walk.judgement)
}

struct Walk<'a> {
    from: &'a dyn Fetch,
    terms: &'a Terms<'a>,
    judgement: Judgement,
    /// The tree of the leaves in the bundles.
    frontier: Frontier,
    /// The tree of the hashes in the level-0 tiles.
    stored: Frontier,
    /// Roots of the full bundles.
    roots: Vec<Hash>,
    /// Whether every leaf so far was there, so that `frontier` means something.
    whole: bool,
    /// Entries whose leaf and stored hash differ, with the bundle and the tile.
    differ: Vec<(u64, String, String)>,
}

impl Walk<'_> {
    /// One bundle with its level-0 tile and its bodies.
    fn bundle(&mut self, path: TilePath) -> Result<()> {
        let first = path.index * WIDTH;
        let range = (first, first + u64::from(path.width));
        let name = path.to_string();
        let tile_name = TilePath { resource: Resource::Tile { level: 0 }, ..path }.to_string();
        let tile = self.hashes(&tile_name, path.width, range)?;
        if let Some(tile) = &tile {
            self.stored.extend(tile);
        }
        let Some(bytes) = self.from.fetch(&name)? else {
            self.judgement.find(Code::FileMissing, Some(&name), Some(range), "an entry bundle is missing".to_owned());
            self.whole = false;
            return Ok(());
        };
        let leaves = match decode_bundle(&bytes) {
            Ok(leaves) if leaves.len() == usize::from(path.width) => leaves,
            _ => {
                let detail = format!("the bundle does not decode to {} entries", path.width);
                self.judgement.find(Code::EntryAltered, Some(&name), Some(range), detail);
                self.whole = false;
                return Ok(());
            }
        };
        let hashes: Vec<Hash> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
        match &tile {
            Some(tile) => self.compare((&name, &tile_name), first, &hashes, tile),
            None => self.stored.extend(&hashes),
        }
        self.bodies(path, first, &leaves)?;
        for hash in &hashes {
            self.frontier.push(*hash);
            self.compare_seen();
        }
        if path.is_full() {
            self.roots.push(perfect_root(&hashes));
        }
        Ok(())
    }

    /// The tree seen before must be a prefix of this one.
    fn compare_seen(&mut self) {
        if let Some((size, root)) = self.terms.seen
            && self.whole
            && self.frontier.size() == size
            && self.frontier.root() != root
        {
            let detail = format!("the first {size} entries are not those that were seen before");
            self.judgement.find(Code::CheckpointInconsistent, Some("checkpoint"), Some((0, size)), detail);
        }
    }

    fn compare(&mut self, names: (&str, &str), first: u64, hashes: &[Hash], tile: &[Hash]) {
        for (n, (found, stored)) in hashes.iter().zip(tile).enumerate() {
            if found != stored && self.differ.len() < FINDINGS_MAX {
                self.differ.push((first + n as u64, names.0.to_owned(), names.1.to_owned()));
            }
        }
    }

    /// Whoever leads to the signed root is right: the tiles (then leaves were altered) or the leaves (then tiles were).
    fn settle(&mut self, root: &Hash, size: u64) {
        let leaves_hold = self.whole && self.frontier.size() == size && self.frontier.root() == *root;
        let tiles_hold = self.stored.size() == size && self.stored.root() == *root;
        for (index, bundle, tile) in std::mem::take(&mut self.differ) {
            let one = Some((index, index + 1));
            let detail = format!("entry {index} does not have the hash that its tile holds");
            if leaves_hold {
                self.judgement.find(Code::TileAltered, Some(&tile), one, detail);
            } else {
                self.judgement.find(Code::EntryAltered, Some(&bundle), one, detail);
            }
        }
        let judged = self.whole || self.stored.size() == size;
        if judged && !leaves_hold && !tiles_hold && self.judgement.findings.len() < FINDINGS_MAX {
            let detail = "the entries do not have the root that the checkpoint signs".to_owned();
            self.judgement.find(Code::CheckpointInconsistent, Some("checkpoint"), Some((0, size)), detail);
        }
    }

    fn hashes(&mut self, name: &str, width: u16, range: (u64, u64)) -> Result<Option<Vec<Hash>>> {
        let Some(bytes) = self.from.fetch(name)? else {
            self.judgement.find(Code::FileMissing, Some(name), Some(range), "a tile is missing".to_owned());
            return Ok(None);
        };
        let hashes: Vec<Hash> = bytes.chunks_exact(32).filter_map(|c| <[u8; 32]>::try_from(c).ok()).map(Hash).collect();
        if bytes.len() != usize::from(width) * 32 {
            let detail = format!("the tile does not hold {width} hashes");
            self.judgement.find(Code::TileAltered, Some(name), Some(range), detail);
            return Ok(None);
        }
        Ok(Some(hashes))
    }

    fn bodies(&mut self, path: TilePath, first: u64, leaves: &[&[u8]]) -> Result<()> {
        let named: Vec<Option<String>> = leaves.iter().map(|leaf| body_digest(leaf)).collect();
        if !self.terms.bodies || named.iter().all(Option::is_none) {
            return Ok(());
        }
        let name = TilePath { resource: Resource::Bodies, ..path }.to_string();
        let range = (first, first + leaves.len() as u64);
        let Some(bytes) = self.from.fetch(&name)? else {
            self.judgement.find(Code::FileMissing, Some(&name), Some(range), "a file of bodies is missing".to_owned());
            return Ok(());
        };
        let bodies = match decode_bodies(&bytes) {
            Ok(bodies) if bodies.len() == leaves.len() => bodies,
            _ => {
                let detail = format!("the file does not decode to {} bodies", leaves.len());
                self.judgement.find(Code::BodyAltered, Some(&name), Some(range), detail);
                return Ok(());
            }
        };
        for (n, (named, body)) in named.iter().zip(bodies).enumerate() {
            let index = first + n as u64;
            let one = Some((index, index + 1));
            match (named, body) {
                (Some(named), Some(body)) if Hash(Sha256::digest(body).into()).hex() == *named => {}
                (None, None) => {}
                (Some(_), None) => {
                    self.judgement.find(Code::BodyMissing, Some(&name), one, format!("entry {index} has no body"));
                }
                _ => {
                    let detail = format!("the body of entry {index} is not the one that its leaf names");
                    self.judgement.find(Code::BodyAltered, Some(&name), one, detail);
                }
            }
        }
        Ok(())
    }

    /// Tiles above level 0 against the ones below.
    fn upper_tiles(&mut self, size: u64) -> Result<()> {
        let mut below = std::mem::take(&mut self.roots);
        for level in 1..=7 {
            let mut above = Vec::new();
            let mut any = false;
            for path in tiles_of(size).filter(|p| p.resource == Resource::Tile { level }) {
                any = true;
                let first = path.index * WIDTH;
                let name = path.to_string();
                let span = WIDTH.saturating_pow(u32::from(level));
                let range =
                    (first.saturating_mul(span), (first + u64::from(path.width)).saturating_mul(span).min(size));
                let Some(stored) = self.hashes(&name, path.width, range)? else { continue };
                if !self.whole {
                    continue;
                }
                let computed = below.iter().skip(usize::try_from(first)?).take(stored.len());
                if computed.clone().count() != stored.len() || computed.zip(&stored).any(|(a, b)| a != b) {
                    let detail = "a hash does not follow from the tile below".to_owned();
                    self.judgement.find(Code::TileAltered, Some(&name), Some(range), detail);
                }
                if path.is_full() {
                    above.push(perfect_root(&stored));
                }
            }
            if !any {
                break;
            }
            below = above;
        }
        Ok(())
    }
}
