//! tlog-tiles: the paths of tiles, entry bundles and bodies, and which of them a tree of some size has.
//! Reads and writes none of them.

use std::fmt;
use std::str::FromStr;

use crate::encoding;
use crate::limits::{TILE_INDEX_END, TILE_LEVEL_MAX, TILE_PATH_BYTES_MAX, TILE_WIDTH};

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// Hashes of the tree, 32 bytes each.
    Tile {
        /// 0 holds leaf hashes, each level above the roots of 256 hashes of the one below.
        level: u8,
    },
    /// Entry bundle: the leaves under a level-0 tile.
    Entries,
    /// The bodies of those leaves; outside the specification, ours.
    Bodies,
}

/// The path of a tile, bundle or body file, relative to the log's prefix. One resource has one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TilePath {
    /// What it holds.
    pub resource: Resource,
    /// Its number among its like.
    pub index: u64,
    /// Hashes or entries in it, 1 to 256; below 256 the path ends in `.p/<width>`.
    pub width: u16,
}

/// The text is not the one path of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a path of tlog-tiles")]
pub struct TilePathError;

impl TilePath {
    /// A hash tile; None where the level, index or width is beyond the format.
    pub fn tile(level: u8, index: u64, width: u16) -> Option<Self> {
        Self { resource: Resource::Tile { level }, index, width }.checked()
    }

    /// An entry bundle; None where index or width is beyond the format.
    pub fn entries(index: u64, width: u16) -> Option<Self> {
        Self { resource: Resource::Entries, index, width }.checked()
    }

    /// A file of bodies; None where index or width is beyond the format.
    pub fn bodies(index: u64, width: u16) -> Option<Self> {
        Self { resource: Resource::Bodies, index, width }.checked()
    }

    /// Reads what Display writes and nothing else: no extra zeros, no `x` on the last group, no missing group.
    ///
    /// # Errors
    /// [`TilePathError`].
    pub fn parse(text: &str) -> Result<Self, TilePathError> {
        if text.len() > TILE_PATH_BYTES_MAX {
            return Err(TilePathError);
        }
        Self::parse_inner(text).and_then(Self::checked).ok_or(TilePathError)
    }

    /// Whether it holds all 256 hashes or entries.
    pub fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }

    /// The same resource at full width.
    #[must_use]
    pub fn full(&self) -> Self {
        Self { width: TILE_WIDTH, ..*self }
    }

    /// The tile level; bundles and bodies stand beside level 0.
    pub fn level(&self) -> u8 {
        match self.resource {
            Resource::Tile { level } => level,
            Resource::Entries | Resource::Bodies => 0,
        }
    }

    /// Leaves a tree must have before this resource exists; None where no tree below 2^63 leaves has it.
    pub fn size_needed(&self) -> Option<u64> {
        let hashes = self.index.checked_mul(u64::from(TILE_WIDTH))?.checked_add(u64::from(self.width))?;
        let shift = u32::from(self.level()) * 8;
        let size = hashes.checked_mul(1_u64.checked_shl(shift)?)?;
        (size <= crate::limits::TREE_SIZE_MAX).then_some(size)
    }

    fn checked(self) -> Option<Self> {
        let fits = self.level() <= TILE_LEVEL_MAX && self.index < TILE_INDEX_END;
        (fits && (1..=TILE_WIDTH).contains(&self.width)).then_some(self)
    }

    fn parse_inner(text: &str) -> Option<Self> {
        let (resource, rest) = if let Some(rest) = text.strip_prefix("tile/entries/") {
            (Resource::Entries, rest)
        } else if let Some(rest) = text.strip_prefix("bodies/") {
            (Resource::Bodies, rest)
        } else {
            let (level, rest) = text.strip_prefix("tile/")?.split_once('/')?;
            (Resource::Tile { level: u8::try_from(encoding::decimal(level)?).ok()? }, rest)
        };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => {
                // A full resource has no width in its path, and an empty one does not exist.
                let width = u16::try_from(encoding::decimal(width)?).ok()?;
                (number, Some(width).filter(|w| (1..TILE_WIDTH).contains(w))?)
            }
            None => (rest, TILE_WIDTH),
        };
        Some(Self { resource, index: parse_number(number)?, width })
    }
}

/// `x001/x234/067`: groups of three digits, all but the last with `x`, the first of several not zero.
fn parse_number(text: &str) -> Option<u64> {
    let mut groups: Vec<&str> = text.split('/').collect();
    let last = groups.pop()?;
    let mut value = 0_u64;
    for (place, group) in groups.into_iter().enumerate() {
        let digits = three_digits(group.strip_prefix('x')?)?;
        if place == 0 && digits == 0 {
            return None;
        }
        value = value.checked_mul(1000)?.checked_add(digits)?;
    }
    value.checked_mul(1000)?.checked_add(three_digits(last)?)
}

fn three_digits(text: &str) -> Option<u64> {
    let digits = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.resource {
            Resource::Tile { level } => write!(f, "tile/{level}/")?,
            Resource::Entries => f.write_str("tile/entries/")?,
            Resource::Bodies => f.write_str("bodies/")?,
        }
        let mut unit = 1;
        while self.index / unit >= 1000 {
            unit *= 1000;
        }
        while unit > 1 {
            write!(f, "x{:03}/", self.index / unit % 1000)?;
            unit /= 1000;
        }
        write!(f, "{:03}", self.index % 1000)?;
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

impl FromStr for TilePath {
    type Err = TilePathError;

    fn from_str(text: &str) -> Result<Self, TilePathError> {
        Self::parse(text)
    }
}

/// Hashes in the partial tile of `level` in a tree of `size` leaves; 0 where it has none.
pub fn partial_width(size: u64, level: u8) -> u16 {
    // Below 256 by the remainder.
    u16::try_from(hashes_at(size, level) % u64::from(TILE_WIDTH)).unwrap_or(0)
}

/// Hashes a tree of `size` leaves has on a tile level: only full tiles are hashed upwards.
fn hashes_at(size: u64, level: u8) -> u64 {
    size.checked_shr(u32::from(level) * 8).unwrap_or(0)
}

/// All hash tiles of a tree of `size` leaves, level 0 first, each level in order, its partial tile last.
pub fn tiles_of(size: u64) -> impl Iterator<Item = TilePath> {
    (0..8_u8).flat_map(move |level| row(Resource::Tile { level }, hashes_at(size, level)))
}

/// All entry bundles of a tree of `size` leaves, in order, the partial one last.
pub fn bundles_of(size: u64) -> impl Iterator<Item = TilePath> {
    row(Resource::Entries, size)
}

fn row(resource: Resource, count: u64) -> impl Iterator<Item = TilePath> {
    let full = count / u64::from(TILE_WIDTH);
    let width = u16::try_from(count % u64::from(TILE_WIDTH)).unwrap_or(0);
    let partial = (width > 0).then_some(TilePath { resource, index: full, width });
    (0..full).map(move |index| TilePath { resource, index, width: TILE_WIDTH }).chain(partial)
}

/// Where a tree node is found in the tiles: the root over `count` hashes of one tile, from `first` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodePlace {
    /// Level of the tile.
    pub tile_level: u8,
    /// Number of the tile in its level.
    pub tile_index: u64,
    /// First hash in the tile, counted from 0.
    pub first: usize,
    /// Hashes to join with [`crate::perfect_root`]: a power of two up to 128.
    pub count: usize,
}

/// Where the node of [`crate::Nodes::node`] is found in tiles; None beyond 2^63 leaves.
pub fn node_place(level: u8, index: u64) -> Option<NodePlace> {
    let within = level % 8;
    let first = index.checked_shl(u32::from(within)).filter(|hash| hash >> within == index)?;
    let tile_index = first / u64::from(TILE_WIDTH);
    if level > 62 || tile_index >= TILE_INDEX_END {
        return None;
    }
    let first = usize::try_from(first % u64::from(TILE_WIDTH)).ok()?;
    Some(NodePlace { tile_level: level / 8, tile_index, first, count: 1 << within })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    fn check(text: &str, resource: Resource, index: u64, width: u16) {
        let path = TilePath { resource, index, width };
        assert_eq!(path.to_string(), text);
        assert_eq!(TilePath::parse(text), Ok(path));
    }

    #[test]
    fn paths_have_one_text() {
        check("tile/0/000", Resource::Tile { level: 0 }, 0, 256);
        check("tile/0/999", Resource::Tile { level: 0 }, 999, 256);
        check("tile/0/x001/000", Resource::Tile { level: 0 }, 1000, 256);
        check("tile/0/x001/x234/067", Resource::Tile { level: 0 }, 1_234_067, 256);
        check("tile/0/x001/234.p/17", Resource::Tile { level: 0 }, 1234, 17);
        check("tile/63/000.p/255", Resource::Tile { level: 63 }, 0, 255);
        check("tile/entries/000.p/1", Resource::Entries, 0, 1);
        check("bodies/x012/345", Resource::Bodies, 12_345, 256);
        check("tile/entries/x036/x028/x797/x018/x963/967", Resource::Entries, TILE_INDEX_END - 1, 256);
    }

    #[test]
    fn every_other_text_is_refused() {
        for text in [
            "",
            "tile",
            "tile/",
            "tile/0",
            "tile/0/",
            "tile/0/0",
            "tile/0/00",
            "tile/0/0000",
            "tile/00/000",
            "tile/64/000",
            "tile/256/000",
            "tile/-1/000",
            "tile/+1/000",
            "tile/0/x000/001",
            "tile/0/001/000",
            "tile/0/x001",
            "tile/0/x001/x000",
            "tile/0/x001/0000",
            "tile/0/x1/000",
            "tile/0/X001/000",
            "tile/0/x001//000",
            "tile/0/000.p/0",
            "tile/0/000.p/00",
            "tile/0/000.p/01",
            "tile/0/000.p/256",
            "tile/0/000.p/",
            "tile/0/000.p",
            "tile/0/000.p/1/",
            "tile/0/000.p/1.p/1",
            "tile/0/000/",
            "/tile/0/000",
            "tile/entries/0",
            "tile/entries/-01",
            "tile/bodies/000",
            "bodies/",
            "entries/000",
            "tile/0/ 00",
            "tile/0/00\u{0661}",
            "tile/0/x036/x028/x797/x018/x963/968",
            "tile/0/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert_eq!(TilePath::parse(text), Err(TilePathError), "{text}");
        }
    }

    #[test]
    fn a_size_has_the_resources_of_the_table() {
        let list = |size| tiles_of(size).map(|t| t.to_string()).collect::<Vec<_>>();
        assert_eq!(list(0), [""; 0]);
        assert_eq!(list(1), ["tile/0/000.p/1"]);
        assert_eq!(list(255), ["tile/0/000.p/255"]);
        assert_eq!(list(256), ["tile/0/000", "tile/1/000.p/1"]);
        assert_eq!(list(257), ["tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"]);
        assert_eq!(list(65_536).split_off(256), ["tile/1/000", "tile/2/000.p/1"]);
        assert_eq!(
            list(70_000).split_off(273),
            ["tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"]
        );
        assert_eq!(
            bundles_of(257).map(|b| b.to_string()).collect::<Vec<_>>(),
            ["tile/entries/000", "tile/entries/001.p/1"]
        );
        assert_eq!((partial_width(70_000, 0), partial_width(70_000, 1), partial_width(70_000, 3)), (112, 17, 0));
    }

    #[test]
    fn a_resource_knows_the_size_it_needs() {
        let needs = |text| TilePath::parse(text).unwrap().size_needed();
        assert_eq!(needs("tile/0/000.p/1"), Some(1));
        assert_eq!(needs("tile/1/001.p/17"), Some((256 + 17) * 256));
        assert_eq!(needs("tile/entries/001"), Some(512));
        assert_eq!(needs("tile/7/000.p/127"), Some(127 << 56));
        assert_eq!(needs("tile/7/000.p/128"), None);
        assert_eq!(needs("tile/63/000"), None);
        for size in [1, 255, 256, 257, 70_000] {
            assert!(tiles_of(size).chain(bundles_of(size)).all(|t| t.size_needed().unwrap() <= size));
        }
    }

    #[test]
    fn nodes_are_found_in_tiles() {
        let place = |level, index| node_place(level, index).map(|p| (p.tile_level, p.tile_index, p.first, p.count));
        assert_eq!(place(0, 300), Some((0, 1, 44, 1)));
        assert_eq!(place(7, 3), Some((0, 1, 128, 128)));
        assert_eq!(place(8, 257), Some((1, 1, 1, 1)));
        assert_eq!(place(62, 1), Some((7, 0, 64, 64)));
        assert_eq!(place(63, 0), None);
        assert_eq!(place(5, u64::MAX), None);
    }
}
