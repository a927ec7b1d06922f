//! What a judge finds in one bundle: decoded, hashed, compared with what other files hold of it. Calls no file damaged:
//! that depends on which of them is suspect.

use std::io;
use std::ops::Range;

use aws_lc_rs::digest;
use tlog::Hash;

use super::codec::{Inflater, Unzstd};
use super::stream::{BodyStream, StreamError};
use super::{BUNDLE_LEN, TAGS_BYTES};
use crate::second;
use crate::types::BodyDigest;

/// Buffers above this are given back after use: no thread keeps the largest bundle that it ever saw.
const KEEP_BYTES_MAX: usize = 8 << 20;

/// What a worker needs again and again.
pub(super) struct Scratch {
    inflater: Inflater,
    unzstd: Unzstd,
    leaves: Vec<u8>,
    bodies: Vec<u8>,
    places: Vec<Range<usize>>,
    /// Bytes as stored, filled by the caller.
    pub(super) stored: Vec<u8>,
}

impl Scratch {
    pub(super) fn new() -> io::Result<Scratch> {
        Ok(Scratch {
            inflater: Inflater::default(),
            unzstd: Unzstd::new()?,
            leaves: Vec::new(),
            bodies: Vec::new(),
            places: Vec::new(),
            stored: Vec::new(),
        })
    }

    pub(super) fn shrink(&mut self) {
        for buffer in [&mut self.leaves, &mut self.bodies, &mut self.stored] {
            if buffer.capacity() > KEEP_BYTES_MAX {
                *buffer = Vec::new();
            }
        }
    }
}

/// What `.leaves` gives of a bundle.
pub(super) enum LeafFacts {
    Undecodable(&'static str),
    Decoded {
        hashes: Box<[Hash; BUNDLE_LEN]>,
        root: Hash,
        /// Entries of the bundle whose hash is not the stored one.
        differ: Vec<usize>,
    },
}

/// What is wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyFault {
    Missing,
    Altered,
}

/// What `.bodies` gives of a bundle.
pub(super) enum BodyFacts {
    Undecodable(&'static str),
    Decoded(Vec<(usize, BodyFault)>),
}

/// Inflates the member in `stored`, hashes its leaves and compares them with the hashes of the tile, as far as it goes.
pub(super) fn leaves(scratch: &mut Scratch, tile: &[Hash]) -> LeafFacts {
    if let Err(why) = scratch.inflater.gunzip(&scratch.stored, &mut scratch.leaves) {
        return LeafFacts::Undecodable(why);
    }
    if let Err(why) = entries(&scratch.leaves, &mut scratch.places) {
        return LeafFacts::Undecodable(why);
    }
    let mut hashes = Box::new([Hash([0; 32]); BUNDLE_LEN]);
    let mut differ = Vec::new();
    for (k, (place, slot)) in scratch.places.iter().zip(hashes.iter_mut()).enumerate() {
        // RFC 6962 2.1: a leaf is hashed behind a zero byte. The byte before it is the end of its length, which is not
        // needed any more: so leaf and prefix are one piece, and nothing is copied.
        if let Some(before) = scratch.leaves.get_mut(place.start - 1) {
            *before = 0;
        }
        *slot = Hash(second::digest(scratch.leaves.get(place.start - 1..place.end).unwrap_or_default()));
        if tile.get(k).is_some_and(|stored| stored != slot) {
            differ.push(k);
        }
    }
    let root = second::bundle_root(&hashes);
    LeafFacts::Decoded { hashes, root, differ }
}

/// Decodes the frame in `stored` and compares each body with the digest that its leaf names, where the leaves of the
/// last call of [`leaves`] are known.
pub(super) fn bodies(scratch: &mut Scratch, leaves_known: bool, body_digest: &BodyDigest) -> BodyFacts {
    if let Err(why) = scratch.unzstd.decompress(&scratch.stored, &mut scratch.bodies) {
        return BodyFacts::Undecodable(why);
    }
    let bodies = match super::codec::bodies_of(&scratch.bodies) {
        Ok(bodies) => bodies,
        Err(why) => return BodyFacts::Undecodable(why),
    };
    let mut faults = Vec::new();
    if leaves_known {
        for (k, (place, body)) in scratch.places.iter().zip(bodies).enumerate() {
            let leaf = scratch.leaves.get(place.clone()).unwrap_or_default();
            match (body_digest(leaf), body) {
                (Some(digest), Some(body)) if second::digest(body) == digest => {}
                (None, None) => {}
                (Some(_), None) => faults.push((k, BodyFault::Missing)),
                _ => faults.push((k, BodyFault::Altered)),
            }
        }
    }
    BodyFacts::Decoded(faults)
}

/// As [`bodies`], for a frame of many bytes, which is read from the file piece by piece.
pub(super) fn large_bodies(
    scratch: &Scratch,
    mut stream: BodyStream<'_>,
    leaves_known: bool,
    body_digest: &BodyDigest,
) -> io::Result<BodyFacts> {
    let mut faults = Vec::new();
    for k in 0..BUNDLE_LEN {
        let mut found = digest::Context::new(&digest::SHA256);
        let present = match stream.next(|piece| found.update(piece)) {
            Ok(present) => present,
            Err(StreamError::Torn(why)) => return Ok(BodyFacts::Undecodable(why)),
            Err(StreamError::Io(error)) => return Err(error),
        };
        let leaf = scratch.places.get(k).and_then(|place| scratch.leaves.get(place.clone())).unwrap_or_default();
        match (body_digest(leaf), present) {
            _ if !leaves_known => {}
            (Some(digest), true) if found.finish().as_ref() == digest => {}
            (None, false) => {}
            (Some(_), false) => faults.push((k, BodyFault::Missing)),
            _ => faults.push((k, BodyFault::Altered)),
        }
    }
    match stream.finish() {
        Ok(()) => Ok(BodyFacts::Decoded(faults)),
        Err(StreamError::Torn(why)) => Ok(BodyFacts::Undecodable(why)),
        Err(StreamError::Io(error)) => Err(error),
    }
}

/// Whether a bundle of tags has the digest that is stored for it.
pub(super) fn tags_hold(tags: &[u8], digest: &[u8]) -> bool {
    debug_assert_eq!(tags.len() as u64, super::BUNDLE * TAGS_BYTES);
    second::digest(tags)[..] == *digest
}

/// Where in a bundle its exactly 256 leaves stand.
fn entries(bundle: &[u8], places: &mut Vec<Range<usize>>) -> Result<(), &'static str> {
    places.clear();
    let mut at = 0;
    for _ in 0..BUNDLE_LEN {
        let length = bundle.get(at..at + 2).and_then(|length| <[u8; 2]>::try_from(length).ok());
        let start = at + 2;
        let end = start + usize::from(u16::from_be_bytes(length.ok_or("the bundle has not 256 entries")?));
        if end > bundle.len() {
            return Err("the bundle is torn");
        }
        places.push(start..end);
        at = end;
    }
    if at == bundle.len() { Ok(()) } else { Err("the bundle has more than 256 entries") }
}
