//! Runs built, searched, merged, spoiled.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::run::{BLOCK_RECORDS, blocks_of};
use super::*;
use crate::durable::Disk;
use crate::fake_disk::FakeDisk;
use crate::frame::sha256;

const ULID: &str = "01J00000000000000000000000";

/// A keyed digest that counts how often it is asked.
fn mac(count: &Arc<AtomicU64>) -> Mac {
    let count = Arc::clone(count);
    Arc::new(move |parts| {
        count.fetch_add(1, Ordering::Relaxed);
        sha256(&[b"key", &parts.concat()])
    })
}

struct Bench {
    disk: FakeDisk,
    count: Arc<AtomicU64>,
}

impl Bench {
    fn new() -> Bench {
        let disk = FakeDisk::default();
        for dir in ["/v", "/v/l", "/v/l/dedup"] {
            disk.create_dir(Path::new(dir)).unwrap();
        }
        Bench { disk, count: Arc::default() }
    }

    fn place(&self) -> Place {
        Place {
            disk: Arc::new(self.disk.clone()),
            dir: PathBuf::from("/v/l/dedup"),
            ulid: ULID.to_owned(),
            mac: mac(&self.count),
        }
    }

    fn open(&self, end: u64) -> DedupIndex {
        let door: Arc<dyn Disk> = Arc::new(self.disk.clone());
        DedupIndex::open(&door, Path::new("/v/l"), ULID, &mac(&self.count), end)
    }

    fn write(&self, range: Range<u64>) -> PathBuf {
        let mut records: Vec<Record> = range.clone().map(|n| (tag(n), n)).collect();
        records.sort_unstable();
        let mut writer = RunWriter::begin(&self.place(), range).unwrap();
        records.into_iter().for_each(|record| writer.push(record).unwrap());
        writer.finish().unwrap().path
    }
}

fn tag(n: u64) -> [u8; 16] {
    let digest = sha256(&[&n.to_be_bytes()]);
    digest[..16].try_into().unwrap()
}

#[test]
fn every_identity_is_found_and_no_other() {
    let bench = Bench::new();
    for (first, end) in [(0, 1), (1, 169), (169, 338), (338, 10_000)] {
        bench.write(first..end);
    }
    let index = bench.open(10_000);
    assert_eq!((index.gap(10_000), index.missing(10_000), index.figures().0), (None, 0, 4));
    let look = index.look(10_000).ok().unwrap();
    for n in 0..10_000 {
        assert_eq!(look.find(&tag(n)).ok(), Some(Some(n)), "{n}");
    }
    bench.count.store(0, Ordering::Relaxed);
    for n in 10_000..60_000 {
        assert_eq!(look.find(&tag(n)).ok(), Some(None), "{n}");
    }
    // Every question that is not answered from memory reads at least one block.
    let passed = bench.count.load(Ordering::Relaxed);
    assert!(passed < 2_500, "{passed} blocks were read for 50,000 that are not there");
    assert!(index.figures().1 <= 10_000 * 16 / 8 + 4 * 64);
}

#[test]
fn a_look_into_a_large_run_reads_few_blocks() {
    let bench = Bench::new();
    let total = 400_000;
    bench.write(0..total);
    let index = bench.open(total);
    let look = index.look(total).ok().unwrap();
    bench.count.store(0, Ordering::Relaxed);
    for n in (0..total).step_by(97) {
        assert_eq!(look.find(&tag(n)).ok(), Some(Some(n)));
    }
    let reads = bench.count.load(Ordering::Relaxed);
    let asked = total.div_ceil(97);
    assert!(reads < asked * 3, "{reads} blocks for {asked} questions in {} blocks", blocks_of(total));
}

/// Tags that are not spread at all: slower, never wrong, and of several entries of one identity the first counts.
#[test]
fn the_search_does_not_depend_on_how_tags_are_spread() {
    let bench = Bench::new();
    let count = BLOCK_RECORDS as u64 * 40;
    let odd = |n: u64| {
        let mut tag = [0xff; 16];
        tag[15] = u8::try_from(n / 500).unwrap() * 2 + 1;
        tag
    };
    let mut writer = RunWriter::begin(&bench.place(), 0..count).unwrap();
    (0..count).for_each(|n| writer.push((odd(n), n)).unwrap());
    writer.finish().unwrap();
    let index = bench.open(count);
    let look = index.look(count).ok().unwrap();
    for group in 0..count.div_ceil(500) {
        assert_eq!(look.find(&odd(group * 500)).ok(), Some(Some(group * 500)));
        let mut between = odd(group * 500);
        between[15] -= 1;
        assert_eq!(look.find(&between).ok(), Some(None));
    }
    assert_eq!(look.find(&[0; 16]).ok(), Some(None));
}

/// One changed byte anywhere: at the start the run is refused, or a later look notices; no answer is ever wrong.
#[test]
fn no_changed_byte_gives_a_wrong_answer() {
    let bench = Bench::new();
    let path = bench.write(0..175);
    let whole = bench.disk.bytes(&path);
    let (mut refused, mut noticed) = (0, 0);
    for at in 0..whole.len() {
        let mut bad = whole.clone();
        bad[at] ^= 0x11;
        bench.disk.put(&path, &bad);
        let index = bench.open(175);
        let Ok(look) = index.look(175) else {
            refused += 1;
            assert_eq!(index.gap(175), Some(0..175));
            continue;
        };
        let answers: Vec<_> = (0..175).map(|n| look.find(&tag(n)).ok()).collect();
        for (answer, n) in answers.iter().zip(0..) {
            assert!(answer.is_none() || *answer == Some(Some(n)), "byte {at}, entry {n}: {answer:?}");
        }
        noticed += usize::from(answers.contains(&None));
        assert_eq!(index.gap(175), Some(0..175), "byte {at}: the run stays");
    }
    assert_eq!(refused + noticed, whole.len());
    // Cut, longer, of another ledger, under another name, or older than the log: not taken up.
    for change in [&whole[..whole.len() - 1], &[&whole[..], b"x"].concat()] {
        bench.disk.put(&path, change);
        assert_eq!(bench.open(175).missing(175), 175);
    }
    bench.disk.put(&bench.place().dir.join(run::name(&(0..176))), &whole);
    assert_eq!(bench.open(176).missing(176), 176);
    bench.disk.put(&path, &whole);
    assert_eq!(bench.open(174).missing(174), 174, "a run that knows more than the log");
    bench.disk.put(&path, &whole);
    let door: Arc<dyn Disk> = Arc::new(bench.disk.clone());
    let other = DedupIndex::open(&door, Path::new("/v/l"), "01J00000000000000000000001", &mac(&bench.count), 175);
    assert_eq!(other.missing(175), 175, "a run of another ledger");
    assert!(bench.disk.names(&bench.place().dir).is_empty(), "what is not taken up is removed");
}

#[test]
fn many_runs_become_few_and_answers_stay() {
    let bench = Bench::new();
    let index = bench.open(u64::MAX);
    let mut end = 0;
    let mut most = 0;
    for n in 0..200 {
        let size = 100 + n % 7 * 30;
        bench.write(end..end + size);
        let run = Run::open(&bench.place(), end..end + size).unwrap();
        index.change(|runs| runs.push(Arc::new(run)));
        end += size;
        while let Some(mut merge) = index.merge_due() {
            while !index.merge(&mut merge).unwrap() {}
        }
        most = most.max(index.figures().0);
    }
    assert!(most <= 24, "{most} runs at a time");
    let look = index.look(end).ok().unwrap();
    for n in 0..end + 500 {
        assert_eq!(look.find(&tag(n)).ok(), Some(Some(n).filter(|n| *n < end)), "{n}");
    }
    let again = bench.open(end);
    assert_eq!(bench.disk.names(&bench.place().dir).len(), again.figures().0);
    assert_eq!((again.gap(end), again.figures()), (None, index.figures()));
}

/// A source that fails within a merge is dropped, and the merge with it; the others stay.
#[test]
fn a_merge_over_a_damaged_run_leaves_the_others() {
    let bench = Bench::new();
    let paths: Vec<_> = (0..8).map(|n| bench.write(n * 300..n * 300 + 300)).collect();
    let index = bench.open(2_400);
    let mut bytes = bench.disk.bytes(&paths[3]);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    bench.disk.put(&paths[3], &bytes);
    // An open file of this disk sees what was put under its name only when it is opened again.
    let index_again = bench.open(2_400);
    drop(index);
    let mut merge = index_again.merge_due().unwrap();
    while !index_again.merge(&mut merge).unwrap() {}
    assert_eq!((index_again.figures().0, index_again.gap(2_400)), (7, Some(900..1_200)));
    assert!(index_again.merge_due().is_none());
    assert!(index_again.look(2_400).is_err());
}

/// Power is cut at every call of a merge: nothing is missing afterwards but what is made again.
#[test]
fn a_cut_merge_leaves_its_sources_or_its_result() {
    use crate::fake_disk::Survives;
    for survives in [Survives::Nothing, Survives::HalfOfEachFile, Survives::Everything] {
        for call in 0.. {
            let bench = Bench::new();
            (0..8).for_each(|n| drop(bench.write(n * 300..n * 300 + 300)));
            let index = bench.open(2_400);
            let mut merge = index.merge_due().unwrap();
            bench.disk.fail_after(Some(call));
            let done = loop {
                match index.merge(&mut merge) {
                    Ok(true) => break true,
                    Ok(false) => {}
                    Err(_) => break false,
                }
            };
            let after = Bench { disk: bench.disk.power_cut(survives), count: Arc::default() };
            let index = after.open(2_400);
            assert_eq!(index.gap(2_400), None, "call {call}, {survives:?}");
            let look = index.look(2_400).ok().unwrap();
            assert!((0..2_400).all(|n| look.find(&tag(n)).ok() == Some(Some(n))));
            if done && call > 20 {
                break;
            }
        }
    }
}
