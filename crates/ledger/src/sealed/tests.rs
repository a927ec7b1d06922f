//! Sealed sets written, read, spoiled and cut off.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tlog::{Frontier, Hash};

use super::write::sha256;
use super::*;
use crate::durable::Disk;
use crate::error::OpenError;
use crate::fake_disk::{FakeDisk, Survives};
use crate::types::{BodyDigest, Kind, Tags};
use crate::verdict::Code;

const ABOUT: [u8; 32] = [7; 32];

fn dir() -> PathBuf {
    PathBuf::from("/l/sealed")
}

fn empty() -> FakeDisk {
    let disk = FakeDisk::default();
    disk.create_dir(&dir()).unwrap();
    disk
}

fn door(disk: &FakeDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

fn body(n: u64) -> Vec<u8> {
    format!("{{\"event\":{n},\"more\":\"{}\"}}", n * 77_777).into_bytes()
}

/// A leaf that carries its body's digest in front; a raw leaf names none.
fn leaf(n: u64, kind: Kind) -> Vec<u8> {
    let mut leaf = if kind == Kind::Audit { sha256(&[&body(n)]).to_vec() } else { Vec::new() };
    leaf.extend_from_slice(format!("entry {n}").as_bytes());
    leaf
}

fn tags(n: u64) -> Tags {
    Tags { identity: (u128::from(n) << 64 | 1).to_be_bytes(), content: [n.to_be_bytes()[7]; 16] }
}

fn digest_of(kind: Kind) -> BodyDigest {
    Arc::new(move |leaf| leaf.first_chunk::<32>().filter(|_| kind == Kind::Audit).copied())
}

fn seal(disk: &FakeDisk, sets: &mut SealedSets, count: u64, kind: Kind) -> Result<Manifest, OpenError> {
    seal_on(disk, sets, count, kind, 1)
}

fn seal_on(
    disk: &FakeDisk,
    sets: &mut SealedSets,
    count: u64,
    kind: Kind,
    threads: usize,
) -> Result<Manifest, OpenError> {
    let spec = SetSpec {
        origin: "o/logs/x".to_owned(),
        kind,
        frontier: sets.frontier().clone(),
        end: sets.end() + count,
        previous: sets.last_digest(),
        gzip_level: 1,
        zstd_level: 1,
        threads,
    };
    let mut writer = SetWriter::begin(&door(disk), &dir(), spec)?;
    for n in sets.end()..sets.end() + count {
        let body = body(n);
        writer.push(&leaf(n, kind), (kind == Kind::Audit).then_some(&body[..]), tags(n), 1_000 + n)?;
    }
    let manifest = writer.finish(&digest_of(kind), None)?;
    sets.add(&manifest, true);
    Ok(manifest)
}

fn open(disk: &FakeDisk, kind: Kind) -> SealedSets {
    SealedSets::open(&door(disk), &dir(), kind, ABOUT).unwrap()
}

#[test]
fn what_was_sealed_is_read_back() {
    for kind in [Kind::Audit, Kind::Raw] {
        let disk = empty();
        let mut sets = open(&disk, kind);
        for count in [256, 768, 512] {
            seal(&disk, &mut sets, count, kind).unwrap();
        }
        let again = open(&disk.power_cut(Survives::Nothing), kind);
        assert_eq!(again.ranges(), [0..256, 256..1024, 1024..1536]);
        let mut frontier = Frontier::new();
        for n in 0..1536 {
            frontier.push(tlog::leaf_hash(&leaf(n, kind)));
        }
        assert_eq!((again.frontier(), again.last_digest()), (&frontier, sets.last_digest()));
        for n in [0, 1, 255, 256, 1023, 1024, 1535] {
            let entry = again.entry(n).unwrap();
            assert_eq!(entry.leaf, leaf(n, kind));
            assert_eq!(entry.body, (kind == Kind::Audit).then(|| body(n)));
            assert_eq!(entry.tags, if kind == Kind::Audit { tags(n) } else { Tags::default() });
        }
        let hashes: Vec<Hash> = (200..1200).map(|n| tlog::leaf_hash(&leaf(n, kind))).collect();
        assert_eq!(again.leaf_hashes(200..1200).unwrap(), hashes);
        let all: Vec<Hash> = (0..1536).map(|n| tlog::leaf_hash(&leaf(n, kind))).collect();
        let roots: Vec<Hash> = all.chunks(256).map(tlog::perfect_root).collect();
        assert_eq!(again.bundle_roots(0..6).unwrap(), roots);
        again.entry(1536).unwrap_err();
        let immutable: Vec<_> = disk.immutable().iter().map(|p| p.extension().unwrap().to_owned()).collect();
        assert!(immutable.len() == 6 && immutable.iter().all(|e| e == "leaves" || e == "tiles"), "{immutable:?}");
    }
}

#[test]
fn opening_reads_names_and_one_manifest() {
    let disk = empty();
    let mut sets = open(&disk, Kind::Raw);
    for _ in 0..40 {
        seal(&disk, &mut sets, 256, Kind::Raw).unwrap();
    }
    let before = disk.opened();
    let sets = open(&disk, Kind::Raw);
    assert_eq!((sets.end(), disk.opened() - before), (40 * 256, 1));
}

#[test]
fn a_set_is_whole_bundles_of_the_known_root() {
    let disk = empty();
    let mut sets = open(&disk, Kind::Audit);
    seal(&disk, &mut sets, 255, Kind::Audit).unwrap_err();
    seal(&disk, &mut sets, 0, Kind::Audit).unwrap_err();
    let spec = SetSpec {
        origin: "o".to_owned(),
        kind: Kind::Raw,
        frontier: Frontier::new(),
        end: 256,
        previous: ABOUT,
        gzip_level: 1,
        zstd_level: 1,
        threads: 1,
    };
    let mut writer = SetWriter::begin(&door(&disk), &dir(), spec).unwrap();
    for n in 0..256 {
        writer.push(&leaf(n, Kind::Raw), None, Tags::default(), 1).unwrap();
    }
    writer.finish(&digest_of(Kind::Raw), Some(&Hash([1; 32]))).unwrap_err();
    assert_eq!(open(&disk, Kind::Audit).end(), 0);
}

#[test]
fn any_number_of_threads_makes_the_same_bytes() {
    for kind in [Kind::Audit, Kind::Raw] {
        let made: Vec<Vec<Vec<u8>>> = [1, 2, 5]
            .into_iter()
            .map(|threads| {
                let disk = empty();
                let mut sets = open(&disk, kind);
                // More bundles than are packed together.
                seal_on(&disk, &mut sets, 256 * 37, kind, threads).unwrap();
                let parts = if kind == Kind::Audit {
                    &["leaves", "bodies", "tags", "tiles", "seal"][..]
                } else {
                    &["leaves", "tiles", "seal"]
                };
                parts.iter().map(|part| disk.bytes(&dir().join(file_name(0, part)))).collect()
            })
            .collect();
        assert!(made[0] == made[1] && made[0] == made[2], "{kind:?}");
    }
}

/// Power is cut at every mutating call of the second set: it is there as a whole or not at all, and can be resealed.
#[test]
fn power_cut_at_every_call() {
    power_cuts(1);
}

/// As above, where files are synced by several threads, so that the order of the calls is another one each time.
#[test]
fn power_cut_at_every_call_of_many_threads() {
    power_cuts(3);
}

fn power_cuts(threads: usize) {
    for survives in [Survives::Nothing, Survives::HalfOfEachFile, Survives::Everything] {
        for call in 0.. {
            let disk = empty();
            let mut sets = open(&disk, Kind::Audit);
            seal(&disk, &mut sets, 256, Kind::Audit).unwrap();
            disk.fail_after(Some(call));
            let done = seal_on(&disk, &mut sets, 512, Kind::Audit, threads).is_ok();
            let after = disk.power_cut(survives);
            let mut sets = open(&after, Kind::Audit);
            assert!(sets.end() == 768 || (sets.end() == 256 && !done), "call {call} {survives:?}: {}", sets.end());
            sets.remove_unfinished().unwrap();
            assert_eq!(after.names(&dir()).len(), sets.ranges().len() * 5, "call {call} {survives:?}");
            if sets.end() == 256 {
                seal(&after, &mut sets, 512, Kind::Audit).unwrap();
            }
            assert_eq!(sets.entry(767).unwrap().body, Some(body(767)));
            for range in sets.ranges() {
                let (manifest, _) = sets.manifest(range.start).unwrap();
                let checked = check_set(&after, &dir(), &manifest, &digest_of(Kind::Audit), 1).unwrap();
                assert_eq!(checked.findings, []);
            }
            if done {
                break;
            }
        }
    }
}

fn findings(disk: &FakeDisk, manifest: &Manifest) -> Vec<crate::verdict::Finding> {
    check_set(disk, &dir(), manifest, &digest_of(Kind::Audit), 2).unwrap().findings
}

/// Every byte of every file in four ways: found, in that file, with entries.
#[test]
fn every_changed_byte_is_found_and_located() {
    let disk = empty();
    let mut sets = open(&disk, Kind::Audit);
    seal(&disk, &mut sets, 256, Kind::Audit).unwrap();
    let manifest = seal(&disk, &mut sets, 256, Kind::Audit).unwrap();
    for extension in ["leaves", "bodies", "tags", "tiles"] {
        let name = file_name(256, extension);
        let path = dir().join(&name);
        let whole = disk.bytes(&path);
        // Tags and hashes are alike from entry to entry: every seventh byte there.
        let step = if extension == "tags" || extension == "tiles" { 7 } else { 1 };
        for at in (0..whole.len()).step_by(step) {
            for value in [whole[at] ^ 1, whole[at] ^ 0x80, 0, 0xff] {
                if value == whole[at] {
                    continue;
                }
                let mut bad = whole.clone();
                bad[at] = value;
                disk.put(&path, &bad);
                let found = findings(&disk, &manifest);
                let named = found.iter().any(|f| f.file == name && f.entries.is_some());
                assert!(named && found.iter().all(|f| f.file == name), "{name} byte {at} to {value}: {found:?}");
            }
        }
        disk.put(&path, &whole);
    }
    assert_eq!(findings(&disk, &manifest), []);
}

#[test]
fn every_changed_byte_of_a_manifest_is_refused() {
    let disk = empty();
    let mut sets = open(&disk, Kind::Audit);
    let text = seal(&disk, &mut sets, 256, Kind::Audit).unwrap().to_text().into_bytes();
    assert!(Manifest::parse(&text).is_some());
    for at in 0..text.len() {
        for value in [text[at] ^ 1, text[at] ^ 0x80, 0, 0xff] {
            let mut bad = text.clone();
            bad[at] = value;
            assert!(Manifest::parse(&bad).is_none(), "byte {at} to {value}");
        }
        assert!(Manifest::parse(&text[..at]).is_none(), "cut at {at}");
    }
}

#[test]
fn cut_removed_and_swapped_files_are_named() {
    let disk = empty();
    let mut sets = open(&disk, Kind::Audit);
    let other = seal(&disk, &mut sets, 256, Kind::Audit).unwrap();
    let manifest = seal(&disk, &mut sets, 256, Kind::Audit).unwrap();
    for extension in ["leaves", "bodies", "tags", "tiles"] {
        let name = file_name(256, extension);
        let path = dir().join(&name);
        let whole = disk.bytes(&path);
        for cut in (0..whole.len()).step_by(97) {
            disk.put(&path, &whole[..cut]);
            let found = findings(&disk, &manifest);
            assert!(found.iter().any(|f| f.file == name), "{name} cut at {cut}: {found:?}");
        }
        disk.put(&path, &[&whole[..], b"x"].concat());
        assert!(findings(&disk, &manifest).iter().any(|f| f.file == name), "{name} longer");
        disk.put(&path, &disk.bytes(&dir().join(file_name(0, extension))));
        assert!(findings(&disk, &manifest).iter().any(|f| f.file == name), "{name} swapped");
        disk.take(&path);
        let found = findings(&disk, &manifest);
        assert!(found.iter().any(|f| f.file == name && f.code == Code::FileMissing), "{name} removed");
        disk.put(&path, &whole);
    }
    assert_eq!((findings(&disk, &manifest), findings(&disk, &other)), (vec![], vec![]));
}

/// Bodies of one bundle that are more than is held at once: written and read piece by piece, as one ordinary frame.
#[test]
fn a_bundle_of_large_bodies_is_a_frame_like_any_other() {
    const BODY: usize = 90_000;
    let disk = empty();
    let mut sets = open(&disk, Kind::Audit);
    let large = |n: u64| (!n.is_multiple_of(5)).then(|| format!("{n} {}", n * 7_919).repeat(BODY / 10).into_bytes());
    let leaf = |n: u64| {
        let mut leaf = large(n).map_or(b"no body, no digest, thirty-two!!".to_vec(), |b| sha256(&[&b]).to_vec());
        leaf.extend_from_slice(&n.to_be_bytes());
        leaf
    };
    let digest: BodyDigest = Arc::new(|leaf| leaf.first_chunk::<32>().filter(|d| !d.starts_with(b"no body")).copied());
    let spec = SetSpec {
        origin: "o/logs/x".to_owned(),
        kind: Kind::Audit,
        frontier: Frontier::new(),
        end: 512,
        previous: ABOUT,
        gzip_level: 1,
        zstd_level: 1,
        threads: 1,
    };
    let mut writer = SetWriter::begin(&door(&disk), &dir(), spec.clone()).unwrap();
    for n in 0..512 {
        if n == 256 {
            // Only the second bundle is announced.
            writer.expect_bodies((n..512).map(|n| 4 + large(n).map_or(0, |b| b.len() as u64)).sum()).unwrap();
        }
        let body = if n < 256 { large(n).map(|b| b[..20].to_vec()) } else { large(n) };
        let leaf = if n < 256 { body.as_ref().map_or(leaf(n), |b| sha256(&[b]).to_vec()) } else { leaf(n) };
        writer.push(&leaf, body.as_deref(), tags(n), 1).unwrap();
    }
    let manifest = writer.finish(&digest, None).unwrap();
    sets.add(&manifest, false);
    let bodies = sets.bodies(1).unwrap().unwrap();
    assert!(bodies.len() as u64 > stream::LARGE_BYTES);
    let all = codec::bodies_of(&bodies).unwrap();
    for n in [256u64, 257, 300, 511] {
        assert_eq!(all[usize::try_from(n).unwrap() - 256], large(n).as_deref());
        assert_eq!(sets.entry(n).unwrap().body, large(n));
    }
    let some = sets.entries(250..512, 400_000, &digest).unwrap();
    assert!((8..20).contains(&some.len()), "{} entries", some.len());
    assert!(some.iter().zip(250..).all(|(entry, n)| entry.index == n && (n < 256 || entry.body == large(n))));
    // Damage within the large frame: found and located, never served.
    let path = dir().join(file_name(0, "bodies"));
    let whole = disk.bytes(&path);
    let judge = || check_set(&disk, &dir(), &manifest, &digest, 1).unwrap().findings;
    assert_eq!(judge(), []);
    let end = whole.len() - 32 - 3 * 8;
    for at in (24..end).step_by(end / 12).chain([end - 1]) {
        let mut bad = whole.clone();
        bad[at] ^= 0x20;
        disk.put(&path, &bad);
        let found = judge();
        let located = |f: &crate::verdict::Finding| f.code == Code::BodyAltered && f.entries.is_some();
        assert!(!found.is_empty() && found.iter().all(located), "byte {at}: {found:?}");
        let fresh = open(&disk, Kind::Audit);
        for n in [257, 333, 511] {
            let entry = fresh.entries(n..n + 1, 1, &digest);
            assert!(entry.is_err() || entry.unwrap()[0].body == large(n), "byte {at}: entry {n} is another one");
        }
    }
    disk.put(&path, &whole);
    // Announced and not kept: refused, no set.
    let spec = SetSpec { frontier: sets.frontier().clone(), previous: sets.last_digest(), end: 768, ..spec };
    let mut writer = SetWriter::begin(&door(&disk), &dir(), spec).unwrap();
    writer.expect_bodies(stream::LARGE_BYTES + 1).unwrap();
    let result = (512..768).try_for_each(|n| writer.push(&leaf(n), Some(b"short"), tags(n), 1));
    result.unwrap_err();
}

#[test]
fn decoders_have_caps() {
    let bomb = gzip(&vec![0; 17 << 20], 1).unwrap();
    codec::gunzip(&bomb).unwrap_err();
    let two = [codec::compress_bodies(b"a", 1).unwrap(), codec::compress_bodies(b"b", 1).unwrap()].concat();
    codec::decompress_bodies(&two).unwrap_err();
    let bundle = gzip(b"abc", 6).unwrap();
    assert_eq!(codec::gunzip(&bundle).unwrap(), b"abc");
    codec::gunzip(&[&bundle[..], b"x"].concat()).unwrap_err();
    assert!(Path::new(&file_name(5, "seal")).to_str().unwrap().starts_with("00000000000000000005."));
}

#[test]
fn leaves_that_nothing_makes_smaller_hardly_grow() {
    let mut state = 1_u64;
    for length in [1, 255, 65_534, 65_535, 65_536, 200_000] {
        let random: Vec<u8> = (0..length)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                state.to_be_bytes()[0]
            })
            .collect();
        let member = gzip(&random, 1).unwrap();
        assert!(member.len() <= random.len() + 18 + 5 * random.len().div_ceil(65_535), "{length}: {}", member.len());
        assert_eq!(codec::gunzip(&member).unwrap(), random);
    }
}
