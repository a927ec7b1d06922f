//! A whole log in tiles layout, from a folder or by URL: every bundle, every tile, every body, up to the checkpoint.
//!
//! Streams: memory does not grow with the log, but for two hashes per 256 entries.

use anyhow::Result;
use sha2::{Digest, Sha256};
use tlog::tile::{Resource, TilePath, bundles_of, tiles_of};
use tlog::{Checkpoint, Frontier, Hash, Vkey, decode_bodies, decode_bundle, leaf_hash, perfect_root};

use super::verdict::{Code, FINDINGS_MAX, Judgement};
use super::{body_digest, signed};

/// Hashes a tile.
const WIDTH: usize = 256;

/// Where the files of a log come from.
pub(crate) trait Fetch {
    /// Bytes of a file relative to the log's prefix (bundles uncompressed); `None` where it does not exist.
    fn fetch(&self, path: &str) -> Result<Option<Vec<u8>>>;
}

/// What to check against.
pub(crate) struct Terms<'a> {
    /// Keys that are trusted; `None`: the log's own are taken, and a note says so.
    pub(crate) given: Option<&'a [Vkey]>,
    pub(crate) origin: Option<&'a str>,
    /// A tree seen before: the log must contain it.
    pub(crate) seen: Option<(u64, Hash)>,
    /// Whether bodies are judged; where they are not and a leaf names one, a note says so.
    pub(crate) bodies: bool,
}

/// Judges everything; `progress` is told how many entries are done.
pub(crate) fn judge(from: &dyn Fetch, terms: &Terms<'_>, progress: &mut dyn FnMut(u64, u64)) -> Result<Judgement> {
    let mut judgement = Judgement::default();
    let Some(checkpoint) = signed::judge(from, terms, &mut judgement)? else { return Ok(judgement) };
    if let Some((size, _)) = terms.seen
        && size > checkpoint.size
    {
        let detail = format!("{} entries were seen before, the checkpoint covers {}", size, checkpoint.size);
        judgement.find(Code::Rollback, Some("checkpoint"), Some((checkpoint.size, size)), detail);
    }
    let mut walk = Walk { from, terms, judgement, leaves: Tree::new(), stored: Tree::new(), differ: Vec::new() };
    for path in bundles_of(checkpoint.size) {
        walk.bundle(path)?;
        progress((first_of(path) + u64::from(path.width)).min(checkpoint.size), checkpoint.size);
    }
    walk.settle(&checkpoint)?;
    Ok(walk.judgement)
}

/// A tree as it grows from bundle to bundle.
struct Tree {
    frontier: Frontier,
    /// Roots of the full bundles.
    roots: Vec<Hash>,
    /// Whether every hash so far was there, so that the rest means something.
    whole: bool,
}

impl Tree {
    fn new() -> Tree {
        Tree { frontier: Frontier::new(), roots: Vec::new(), whole: true }
    }

    fn add(&mut self, hashes: &[Hash]) {
        self.frontier.extend(hashes);
        if hashes.len() == WIDTH {
            self.roots.push(perfect_root(hashes));
        }
    }

    fn leads_to(&self, checkpoint: &Checkpoint) -> bool {
        self.whole && self.frontier.root() == checkpoint.root
    }
}

struct Walk<'a> {
    from: &'a dyn Fetch,
    terms: &'a Terms<'a>,
    judgement: Judgement,
    /// The tree of the leaves in the bundles.
    leaves: Tree,
    /// The tree of the hashes in the level-0 tiles.
    stored: Tree,
    /// Entries whose leaf and stored hash differ, with the bundle and the tile.
    differ: Vec<(u64, String, String)>,
}

fn first_of(path: TilePath) -> u64 {
    path.index * WIDTH as u64
}

fn range_of(path: TilePath) -> (u64, u64) {
    (first_of(path), first_of(path) + u64::from(path.width))
}

impl Walk<'_> {
    /// One bundle with its level-0 tile and its bodies.
    fn bundle(&mut self, path: TilePath) -> Result<()> {
        let name = path.to_string();
        let tile_name = TilePath { resource: Resource::Tile { level: 0 }, ..path }.to_string();
        let tile = self.hashes(&tile_name, path.width, range_of(path))?;
        match &tile {
            Some(tile) => self.stored.add(tile),
            None => self.stored.whole = false,
        }
        let Some(bytes) = self.fetch(&name, range_of(path))? else {
            self.leaves.whole = false;
            return Ok(());
        };
        let leaves = match decode_bundle(&bytes) {
            Ok(leaves) if leaves.len() == usize::from(path.width) => leaves,
            _ => {
                let detail = format!("the bundle does not decode to {} entries", path.width);
                self.judgement.find(Code::EntryAltered, Some(&name), Some(range_of(path)), detail);
                self.leaves.whole = false;
                return Ok(());
            }
        };
        let hashes: Vec<Hash> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
        for (n, _) in hashes.iter().zip(tile.iter().flatten()).enumerate().filter(|(_, (found, kept))| found != kept) {
            self.differ.push((first_of(path) + n as u64, name.clone(), tile_name.clone()));
            // The judgement lists no more either.
            self.differ.truncate(FINDINGS_MAX);
        }
        self.bodies(path, &leaves)?;
        match self.terms.seen {
            Some((size, root)) if self.leaves.whole && range_of(path).0 < size && size <= range_of(path).1 => {
                let mut until = self.leaves.frontier.clone();
                until.extend(hashes.get(..usize::try_from(size - first_of(path))?).unwrap_or_default());
                if until.root() != root {
                    let detail = format!("the first {size} entries are not those that were seen before");
                    self.judgement.find(Code::CheckpointInconsistent, Some("checkpoint"), Some((0, size)), detail);
                }
            }
            _ => {}
        }
        self.leaves.add(&hashes);
        Ok(())
    }

    /// Whoever leads to the signed root is right: the tiles (then leaves were altered) or the leaves (then tiles were).
    fn settle(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let leaves_hold = self.leaves.leads_to(checkpoint);
        let differ = std::mem::take(&mut self.differ);
        // Where a leaf and its hash differ, that already tells why the roots do.
        let judged = (self.leaves.whole || self.stored.whole) && differ.is_empty();
        for (index, bundle, tile) in differ {
            let one = Some((index, index + 1));
            let detail = format!("entry {index} does not have the hash that its tile holds");
            if leaves_hold {
                self.judgement.find(Code::TileAltered, Some(&tile), one, detail);
            } else {
                self.judgement.find(Code::EntryAltered, Some(&bundle), one, detail);
            }
        }
        if judged && !leaves_hold && !self.stored.leads_to(checkpoint) {
            let detail = "the entries do not have the root that the checkpoint signs".to_owned();
            let all = Some((0, checkpoint.size));
            self.judgement.find(Code::CheckpointInconsistent, Some("checkpoint"), all, detail);
        }
        let believed = match (leaves_hold, self.stored.whole) {
            (true, _) => Some(std::mem::take(&mut self.leaves.roots)),
            (false, true) => Some(std::mem::take(&mut self.stored.roots)),
            (false, false) => None,
        };
        self.upper_tiles(checkpoint.size, believed)
    }

    /// Tiles above level 0 against the hashes that follow from level 0; `nodes` are those of level 1, where known.
    fn upper_tiles(&mut self, size: u64, mut nodes: Option<Vec<Hash>>) -> Result<()> {
        for level in 1..=7 {
            let mut any = false;
            for path in tiles_of(size).filter(|p| p.resource == Resource::Tile { level }) {
                any = true;
                let first = path.index * WIDTH as u64;
                let name = path.to_string();
                let span = 256_u64.saturating_pow(u32::from(level));
                let range =
                    (first.saturating_mul(span), (first + u64::from(path.width)).saturating_mul(span).min(size));
                let Some(stored) = self.hashes(&name, path.width, range)? else { continue };
                let first = usize::try_from(first)?;
                let follow = nodes.as_ref().map(|nodes| nodes.get(first..first + stored.len()).unwrap_or_default());
                if follow.is_some_and(|follow| follow != stored) {
                    let detail = "a hash does not follow from the tiles below".to_owned();
                    self.judgement.find(Code::TileAltered, Some(&name), Some(range), detail);
                }
            }
            if !any {
                break;
            }
            nodes = nodes.map(|nodes| nodes.chunks_exact(WIDTH).map(perfect_root).collect());
        }
        Ok(())
    }

    /// A file that a log of this size has.
    fn fetch(&mut self, name: &str, range: (u64, u64)) -> Result<Option<Vec<u8>>> {
        let bytes = self.from.fetch(name)?;
        if bytes.is_none() {
            let detail = "a log of this size has it".to_owned();
            self.judgement.find(Code::FileMissing, Some(name), Some(range), detail);
        }
        Ok(bytes)
    }

    fn hashes(&mut self, name: &str, width: u16, range: (u64, u64)) -> Result<Option<Vec<Hash>>> {
        let Some(bytes) = self.fetch(name, range)? else { return Ok(None) };
        let hashes: Vec<Hash> = bytes.chunks_exact(32).filter_map(|c| <[u8; 32]>::try_from(c).ok()).map(Hash).collect();
        if bytes.len() != usize::from(width) * 32 {
            let detail = format!("the tile does not hold {width} hashes");
            self.judgement.find(Code::TileAltered, Some(name), Some(range), detail);
            return Ok(None);
        }
        Ok(Some(hashes))
    }

    fn bodies(&mut self, path: TilePath, leaves: &[&[u8]]) -> Result<()> {
        let named: Vec<Option<String>> = leaves.iter().map(|leaf| body_digest(leaf)).collect();
        if named.iter().all(Option::is_none) {
            self.judgement.bodiless.insert(path.index);
            return Ok(());
        }
        if !self.terms.bodies {
            self.judgement.note("body-withheld");
            return Ok(());
        }
        let name = TilePath { resource: Resource::Bodies, ..path }.to_string();
        let Some(bytes) = self.fetch(&name, range_of(path))? else { return Ok(()) };
        let bodies = match decode_bodies(&bytes) {
            Ok(bodies) if bodies.len() == leaves.len() => bodies,
            _ => {
                let detail = format!("the file does not decode to {} bodies", leaves.len());
                self.judgement.find(Code::BodyAltered, Some(&name), Some(range_of(path)), detail);
                return Ok(());
            }
        };
        for (n, (named, body)) in named.iter().zip(bodies).enumerate() {
            let index = first_of(path) + n as u64;
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
}
