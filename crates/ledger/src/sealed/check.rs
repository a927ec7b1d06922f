//! Judges one sealed set byte by byte (docs/formats/verdicts.md, sealed sets, steps 2 to 7), its bundles in parallel.
//!
//! Trusts the manifest it is handed, and knows no tree beyond the set.

use std::borrow::Cow;
use std::io;
use std::ops::Range;
use std::path::Path;

use tlog::Hash;

use super::bundle::{self, BodyFacts, BodyFault, LeafFacts, Scratch};
use super::parts::{self, Digests, Offsets, Opened, PartFile, PartKind};
use super::stream::{self, BodyStream};
use super::{BUNDLE, BUNDLE_LEN, HEADER_BYTES, Manifest, TAGS_BYTES, TRAILER_BYTES, codec};
use crate::durable::{Disk, DiskFile};
use crate::error::OpenError;
use crate::parallel;
use crate::second;
use crate::types::BodyDigest;
use crate::verdict::{Code, Finding};

/// Bundles whose facts are held in memory at one time.
const WINDOW_BUNDLES: u64 = 512;
/// Bytes of a bundle of tags.
const TAGS_BUNDLE_BYTES: u64 = BUNDLE * TAGS_BYTES;
/// A bundle as stored is never longer: what cannot shrink grows by a few bytes only.
const STORED_SLACK_BYTES: u64 = 1 << 20;

/// What the check of a set found.
#[derive(Debug)]
pub struct CheckedSet {
    /// Empty where every byte is as it was written.
    pub findings: Vec<Finding>,
    /// Leaf hashes: of the leaves, of a bundle that does not decode those that `.tiles` holds.
    pub hashes: Vec<Hash>,
}

/// Checks every byte of the files that a manifest names, on so many threads.
///
/// Errors: only where the system refuses to read; damage is a finding.
pub fn check_set(
    disk: &dyn Disk,
    dir: &Path,
    set: &Manifest,
    body_digest: &BodyDigest,
    threads: usize,
) -> Result<CheckedSet, OpenError> {
    let (mut findings, mut hashes) = (Vec::new(), Vec::new());
    let mut take = |told: Told<'_>| match told {
        Told::Finding(finding) => findings.push(finding),
        Told::Bundle(leaves) => hashes.extend_from_slice(leaves.map_or(&[], |leaves| leaves.hashes)),
    };
    let judge = SetJudge { disk, dir, set, body_digest, threads, forget: true };
    judge.run(&mut take).map_err(OpenError::io("check the sealed set in", dir))?;
    Ok(CheckedSet { findings, hashes })
}

/// One set to judge.
pub(crate) struct SetJudge<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) dir: &'a Path,
    pub(crate) set: &'a Manifest,
    pub(crate) body_digest: &'a BodyDigest,
    pub(crate) threads: usize,
    /// Nobody asked for these bytes: they leave the room in memory to those that somebody reads.
    pub(crate) forget: bool,
}

/// What a judge tells while it goes.
pub(crate) enum Told<'a> {
    Finding(Finding),
    /// The leaves of the next bundle, `None` where nothing tells them.
    Bundle(Option<Believed<'a>>),
}

/// The leaf hashes to go on with: those of the leaves, where these are altered or do not decode those of `.tiles`.
#[derive(Clone, Copy)]
pub(crate) struct Believed<'a> {
    pub(crate) hashes: &'a [Hash; BUNDLE_LEN],
    pub(crate) root: Hash,
}

impl SetJudge<'_> {
    /// Judges the files of the set; gives the number of findings.
    pub(crate) fn run(&self, told: &mut dyn FnMut(Told<'_>)) -> io::Result<u64> {
        let mut files = Files::default();
        let mut verdict = Verdict { set: self.set, told, found: Vec::new(), count: 0 };
        for kind in PartKind::ALL {
            match PartFile::open(self.disk, self.dir, self.set, kind)? {
                Opened::NotNamed => {}
                Opened::Missing(name) => {
                    let detail = "the manifest names a file that is not there";
                    verdict.find(Code::FileMissing, kind, name, None, self.set.first..self.set.end, detail);
                }
                Opened::There(part) => files.0.push(part),
            }
        }
        let bundles = parts::bundles(self.set);
        let mut places = Places::default();
        for part in &files.0 {
            let (slot, code) = match part.kind {
                PartKind::Leaves => (&mut places.leaves, Code::EntryAltered),
                PartKind::Bodies => (&mut places.bodies, Code::BodyAltered),
                PartKind::Tiles | PartKind::Tags => continue,
            };
            *slot = part.offsets(bundles)?;
            if slot.is_none() {
                let detail = "the offsets of the bundles are not in order";
                verdict.find_in(part, code, 0..part.len, self.set.first..self.set.end, detail);
            }
        }
        let digests = self.windows(&files, &places, bundles, &mut verdict)?;
        for (part, digests) in files.0.iter().zip(&digests) {
            if self.forget {
                part.file.drop_cache();
            }
            if part.is_suspect(digests) && !verdict.found.contains(&part.kind) {
                let trailer = part.len.saturating_sub(TRAILER_BYTES)..part.len;
                let (bytes, detail) = match (part.other_header, digests.trailer_alone) {
                    (true, _) => (0..HEADER_BYTES, "magic or range are not those of the set"),
                    (false, true) => (trailer, "the trailer is not the digest of the file"),
                    (false, false) => (0..part.len, "bytes around the bundles differ"),
                };
                verdict.find_in(part, Code::FileAltered, bytes, self.set.first..self.set.end, detail);
            }
        }
        Ok(verdict.count)
    }

    /// Digests all files, decodes all bundles, and settles them in order.
    fn windows(
        &self,
        files: &Files,
        places: &Places,
        bundles: u64,
        verdict: &mut Verdict<'_>,
    ) -> io::Result<Vec<Digests>> {
        let end = self.bundles_there(files, places, bundles);
        let mut digests = Vec::new();
        let mut from = 0;
        loop {
            let window = Window::read(self.set, files, places, from..(from + WINDOW_BUNDLES).min(end))?;
            // The digests come first: they are the longest pieces, and what the bundles mean depends on them.
            let first = if from == 0 { files.0.len() } else { 0 };
            let count = usize::try_from(window.bundles.end - window.bundles.start).unwrap_or(0);
            let done = parallel::map(self.threads, first + count, Scratch::new, |piece, scratch| {
                match files.0.get(piece).filter(|_| piece < first) {
                    Some(part) => part.digests().map(Done::Digests),
                    None => self.bundle(files, &window, piece - first, scratch).map(Done::Bundle),
                }
            })?;
            for (piece, done) in done.into_iter().enumerate() {
                match done {
                    Done::Digests(of_file) => digests.push(of_file),
                    Done::Bundle(facts) => verdict.settle(files, &digests, &window, piece - first, facts),
                }
            }
            from = window.bundles.end;
            if from >= end {
                return Ok(digests);
            }
        }
    }

    /// How many bundles the files can hold anything of: a manifest may claim any number.
    fn bundles_there(&self, files: &Files, places: &Places, bundles: u64) -> u64 {
        if places.leaves.is_some() || places.bodies.is_some() {
            return bundles;
        }
        let there = |kind, bytes| files.get(kind).map_or(0, |part| part.len.div_ceil(bytes));
        there(PartKind::Tiles, BUNDLE * 32).max(there(PartKind::Tags, TAGS_BUNDLE_BYTES)).min(bundles)
    }

    fn bundle(&self, files: &Files, window: &Window, k: usize, scratch: &mut Scratch) -> io::Result<Facts> {
        let mut facts = Facts { leaves: None, bodies: None, tags_differ: false };
        if let (Some(part), Some(range)) = (files.get(PartKind::Leaves), window.leaves(k)) {
            facts.leaves = Some(match stored(part, &range, codec::LEAVES_BYTES_MAX, scratch)? {
                Some(why) => LeafFacts::Undecodable(why),
                None => bundle::leaves(scratch, window.tile(k)),
            });
        }
        let known = matches!(facts.leaves, Some(LeafFacts::Decoded { .. }));
        if let (Some(part), Some(range)) = (files.get(PartKind::Bodies), window.bodies(k)) {
            let large = stream::content_bytes(&*part.file, &range)?.filter(|bytes| *bytes > stream::LARGE_BYTES);
            facts.bodies = Some(match large {
                Some(bytes) => {
                    let stream = BodyStream::new(&*part.file, range, bytes)?;
                    bundle::large_bodies(scratch, stream, known, self.body_digest)?
                }
                None => match stored(part, &range, codec::BODIES_BYTES_MAX, scratch)? {
                    Some(why) => BodyFacts::Undecodable(why),
                    None => bundle::bodies(scratch, known, self.body_digest),
                },
            });
        }
        if let Some(part) = files.get(PartKind::Tags) {
            let number = window.bundles.start + k as u64;
            let at = HEADER_BYTES + number * TAGS_BUNDLE_BYTES;
            let digests =
                parts::bundles(self.set).checked_mul(TAGS_BUNDLE_BYTES).map_or(u64::MAX, |b| b + HEADER_BYTES);
            let digest = digests.saturating_add(number * 32);
            if digest.saturating_add(32) <= part.len {
                let tags = read(&*part.file, at..at + TAGS_BUNDLE_BYTES)?;
                facts.tags_differ = !bundle::tags_hold(&tags, &read(&*part.file, digest..digest + 32)?);
            }
        }
        scratch.shrink();
        Ok(facts)
    }
}

/// Reads a bundle as stored; says why where it is longer than any bundle.
fn stored(
    part: &PartFile,
    range: &Range<u64>,
    bytes_max: usize,
    scratch: &mut Scratch,
) -> io::Result<Option<&'static str>> {
    let length = range.end - range.start;
    if length > bytes_max as u64 + STORED_SLACK_BYTES {
        return Ok(Some("longer than any bundle"));
    }
    scratch.stored.resize(usize::try_from(length).unwrap_or(0), 0);
    part.file.read_exact_at(&mut scratch.stored, range.start)?;
    Ok(None)
}

impl PartFile {
    fn is_suspect(&self, digests: &Digests) -> bool {
        self.other_length || self.other_header || !digests.hold
    }
}

/// The files that are there.
#[derive(Default)]
struct Files(Vec<PartFile>);

impl Files {
    fn get(&self, kind: PartKind) -> Option<&PartFile> {
        self.0.iter().find(|part| part.kind == kind)
    }

    fn is_suspect(&self, digests: &[Digests], kind: PartKind) -> bool {
        self.0.iter().zip(digests).any(|(part, digests)| part.kind == kind && part.is_suspect(digests))
    }
}

/// Where the bundles of a file stand, if its offsets can be believed.
#[derive(Default)]
struct Places {
    leaves: Option<Offsets>,
    bodies: Option<Offsets>,
}

enum Done {
    Digests(Digests),
    Bundle(Facts),
}

struct Facts {
    leaves: Option<LeafFacts>,
    bodies: Option<BodyFacts>,
    tags_differ: bool,
}

/// What is read before the bundles of a window are judged.
struct Window {
    bundles: Range<u64>,
    /// Stored leaf hashes, from the first bundle on; fewer where the file is short.
    hashes: Vec<Hash>,
    /// Stored roots of the bundles.
    roots: Vec<Hash>,
    leaves: Vec<u64>,
    bodies: Vec<u64>,
}

impl Window {
    fn read(set: &Manifest, files: &Files, places: &Places, bundles: Range<u64>) -> io::Result<Window> {
        let at = |kind, offsets: &Option<Offsets>| match (files.get(kind), offsets) {
            (Some(part), Some(offsets)) => offsets.of(part, &bundles),
            _ => Ok(Vec::new()),
        };
        let (leaves, bodies) = (at(PartKind::Leaves, &places.leaves)?, at(PartKind::Bodies, &places.bodies)?);
        let (mut hashes, mut roots) = (Vec::new(), Vec::new());
        if let Some(tiles) = files.get(PartKind::Tiles) {
            let all = set.end - set.first;
            hashes = stored_hashes(tiles, bundles.start * BUNDLE..bundles.end * BUNDLE)?;
            roots = stored_hashes(tiles, all + bundles.start..all + bundles.end)?;
        }
        Ok(Window { bundles, hashes, roots, leaves, bodies })
    }

    fn tile(&self, k: usize) -> &[Hash] {
        let from = self.hashes.get(k * BUNDLE_LEN..).unwrap_or_default();
        from.get(..BUNDLE_LEN).unwrap_or(from)
    }

    fn leaves(&self, k: usize) -> Option<Range<u64>> {
        Some(*self.leaves.get(k)?..*self.leaves.get(k + 1)?)
    }

    fn bodies(&self, k: usize) -> Option<Range<u64>> {
        Some(*self.bodies.get(k)?..*self.bodies.get(k + 1)?)
    }
}

/// Hashes of `.tiles` by number, as far as the file holds them.
fn stored_hashes(tiles: &PartFile, numbers: Range<u64>) -> io::Result<Vec<Hash>> {
    let there = tiles.len.saturating_sub(HEADER_BYTES) / 32;
    let numbers = numbers.start.min(there)..numbers.end.min(there);
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let bytes = read(&*tiles.file, HEADER_BYTES + numbers.start * 32..HEADER_BYTES + numbers.end * 32)?;
    Ok(bytes.as_chunks::<32>().0.iter().map(|chunk| Hash(*chunk)).collect())
}

/// Turns facts into findings.
struct Verdict<'a> {
    set: &'a Manifest,
    told: &'a mut dyn FnMut(Told<'_>),
    /// Files in which something was found.
    found: Vec<PartKind>,
    count: u64,
}

impl Verdict<'_> {
    fn find(
        &mut self,
        code: Code,
        kind: PartKind,
        file: String,
        bytes: Option<Range<u64>>,
        entries: Range<u64>,
        detail: impl Into<Cow<'static, str>>,
    ) {
        if !self.found.contains(&kind) {
            self.found.push(kind);
        }
        self.count += 1;
        (self.told)(Told::Finding(Finding { code, file, bytes, entries: Some(entries), detail: detail.into() }));
    }

    fn find_in(
        &mut self,
        part: &PartFile,
        code: Code,
        bytes: Range<u64>,
        entries: Range<u64>,
        detail: impl Into<Cow<'static, str>>,
    ) {
        self.find(code, part.kind, part.name.clone(), Some(bytes), entries, detail);
    }
    /// One bundle, in order.
    fn settle(&mut self, files: &Files, digests: &[Digests], window: &Window, k: usize, facts: Facts) {
        let number = window.bundles.start + k as u64;
        let first = self.set.first + number * BUNDLE;
        let altered = self.leaves(files, digests, window, k, first, facts.leaves.as_ref());
        if let (Some(part), Some(range), Some(bodies)) = (files.get(PartKind::Bodies), window.bodies(k), facts.bodies) {
            let suspect = files.is_suspect(digests, PartKind::Bodies);
            if !suspect {
                self.bodies(part, range, first, &altered, bodies);
            } else if matches!(facts.leaves, Some(LeafFacts::Decoded { .. })) {
                self.suspect_bodies(part, range, first, &altered, bodies);
            }
        }
        if let Some(part) = files.get(PartKind::Tags).filter(|_| facts.tags_differ) {
            let at = HEADER_BYTES + number * TAGS_BUNDLE_BYTES;
            let bytes = at..at + TAGS_BUNDLE_BYTES;
            self.find_in(part, Code::TagsAltered, bytes, first..first + BUNDLE, "not the tags that were written");
        }
        let tile = <&[Hash; BUNDLE_LEN]>::try_from(window.tile(k)).ok();
        match facts.leaves {
            Some(LeafFacts::Decoded { hashes, root, .. }) if altered.is_empty() => {
                (self.told)(Told::Bundle(Some(Believed { hashes: &hashes, root })));
            }
            Some(LeafFacts::Decoded { mut hashes, .. }) => {
                for (at, (slot, stored)) in hashes.iter_mut().zip(window.tile(k)).enumerate() {
                    if altered.contains(&at) {
                        *slot = *stored;
                    }
                }
                let root = second::bundle_root(&hashes);
                (self.told)(Told::Bundle(Some(Believed { hashes: &hashes, root })));
            }
            _ => {
                let believed = tile.map(|hashes| Believed { hashes, root: second::bundle_root(hashes) });
                (self.told)(Told::Bundle(believed));
            }
        }
    }

    /// Leaves and hashes of one bundle against each other; gives the altered ones.
    fn leaves(
        &mut self,
        files: &Files,
        digests: &[Digests],
        window: &Window,
        k: usize,
        first: u64,
        facts: Option<&LeafFacts>,
    ) -> Vec<usize> {
        let mut altered = Vec::new();
        let (Some(part), Some(range), Some(facts)) = (files.get(PartKind::Leaves), window.leaves(k), facts) else {
            return altered;
        };
        let (root, differ) = match facts {
            LeafFacts::Decoded { root, differ, .. } => (root, differ),
            LeafFacts::Undecodable(why) => {
                self.find_in(part, Code::EntryAltered, range, first..first + BUNDLE, *why);
                return altered;
            }
        };
        let Some(tiles) = files.get(PartKind::Tiles) else { return altered };
        let tiles_alone = files.is_suspect(digests, PartKind::Tiles) && !files.is_suspect(digests, PartKind::Leaves);
        for k in differ {
            let entry = first + *k as u64;
            if tiles_alone {
                let at = HEADER_BYTES + (entry - self.set.first) * 32;
                let detail = "not the hash of the stored leaf";
                self.find_in(tiles, Code::TileAltered, at..at + 32, entry..entry + 1, detail);
            } else {
                altered.push(*k);
                let detail = "not the leaf that was hashed";
                self.find_in(part, Code::EntryAltered, range.clone(), entry..entry + 1, detail);
            }
        }
        if altered.is_empty() && window.roots.get(k).is_some_and(|stored| stored != root) {
            let number = (first - self.set.first) / BUNDLE;
            let at = HEADER_BYTES + (self.set.end - self.set.first + number) * 32;
            let detail = "not the root of the bundle's leaves";
            self.find_in(tiles, Code::TileAltered, at..at + 32, first..first + BUNDLE, detail);
        }
        altered
    }

    fn bodies(&mut self, part: &PartFile, range: Range<u64>, first: u64, altered: &[usize], facts: BodyFacts) {
        let faults = match facts {
            BodyFacts::Decoded(faults) => faults,
            BodyFacts::Undecodable(why) => {
                return self.find_in(part, Code::BodyAltered, range, first..first + BUNDLE, why);
            }
        };
        for (k, fault) in faults.into_iter().filter(|(k, _)| !altered.contains(k)) {
            let (code, detail) = match fault {
                BodyFault::Missing => (Code::BodyMissing, "the leaf names a body that is absent"),
                BodyFault::Altered => (Code::BodyAltered, "not the body that the leaf names"),
            };
            let entry = first + k as u64;
            self.find_in(part, code, range.clone(), entry..entry + 1, detail);
        }
    }
}

impl Verdict<'_> {
    /// Decoders read a damaged frame in different ways, so that which of its bodies fail is for people alone.
    fn suspect_bodies(&mut self, part: &PartFile, range: Range<u64>, first: u64, altered: &[usize], facts: BodyFacts) {
        let detail = match facts {
            BodyFacts::Undecodable(why) => Cow::from(why),
            BodyFacts::Decoded(faults) => {
                let mut fail = faults.iter().filter(|(k, _)| !altered.contains(k)).map(|(k, _)| first + *k as u64);
                let Some(entry) = fail.next() else { return };
                format!(
                    "{} of its 256 bodies are not those that the leaves name, entry {entry} first",
                    fail.count() + 1
                )
                .into()
            }
        };
        self.find_in(part, Code::BodyAltered, range, first..first + BUNDLE, detail);
    }
}

/// Bytes of a range that lies within the file: its length was checked before.
pub(crate) fn read(file: &dyn DiskFile, range: Range<u64>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0)];
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(bytes)
}
