//! Identity is for ever: within a batch, within a block, across blocks and restarts.

use std::path::{Path, PathBuf};

use ledger::{AppendError, Batch, OpenError, Outcome, SealError, Sealer, Sealing, Writer};
use testkit::{Fault, FaultKind, OpKind, entries};

use crate::rig::{self, Rig, append, numbered, until};
use crate::{World, check};

const BUNDLE: u64 = 256;

#[test]
fn a_repeat_gets_the_first_index_and_other_content_is_a_conflict() {
    let world = World::new();
    let (mut writer, _) = world.open(&[]).unwrap();
    let one = entries::entry(1, 80);
    let mut other = entries::entry(2, 80);
    other.tags.identity = one.tags.identity;
    let mut batch = Batch::default();
    for made in [&one, &one, &other, &entries::entry(3, 50)] {
        entries::push(&mut batch, made, false);
    }
    let mut second = Batch::default();
    entries::push(&mut second, &one, false);
    let answers = writer.commit(vec![batch, second]).unwrap();
    let hash = writer.leaf_hashes(0..2).unwrap();
    assert_eq!(
        answers[0].outcomes,
        [
            Outcome::Appended { index: 0, leaf_hash: hash[0] },
            Outcome::Duplicate { index: 0, leaf_hash: hash[0] },
            Outcome::Conflict { index: 0 },
            Outcome::Appended { index: 1, leaf_hash: hash[1] },
        ]
    );
    assert_eq!(answers[1].outcomes, [Outcome::Duplicate { index: 0, leaf_hash: hash[0] }]);
    assert_eq!(writer.size(), 2);
    world.disk.kill();
    let (mut writer, _) = world.open(&[]).unwrap();
    let written = world.disk.operations();
    let mut again = Batch::default();
    entries::push(&mut again, &one, false);
    entries::push(&mut again, &other, false);
    let answers = writer.commit(vec![again]).unwrap();
    let expected = [Outcome::Duplicate { index: 0, leaf_hash: hash[0] }, Outcome::Conflict { index: 0 }];
    assert_eq!(answers[0].outcomes, expected);
    assert_eq!((writer.size(), world.disk.operations()), (2, written), "a repeat writes nothing");
}

/// Commits `count` batches of 90 entries with ids of their own, and seals what can be sealed.
fn grown(world: &World, count: u64) -> (Writer, Sealer) {
    let (mut writer, _) = world.open(&[]).unwrap();
    for _ in 0..count {
        writer.commit(vec![entries::batch(writer.size(), 90, 60, false)]).unwrap();
    }
    let mut sealer = writer.sealer();
    rest(&mut sealer, writer.size()).unwrap();
    (writer, sealer)
}

fn rest(sealer: &mut Sealer, published: u64) -> Result<(), SealError> {
    while sealer.step(published)? == Sealing::Worked {}
    Ok(())
}

/// Sends every entry again, and every third with other content: first index and leaf hash, and nothing is written.
fn all_known(writer: &mut Writer, what: &str) {
    let size = writer.size();
    for first in (0..size).step_by(64) {
        let mut batch = Batch::default();
        let mut expected = Vec::new();
        for n in first..size.min(first + 64) {
            let made = entries::entry(n, 60);
            entries::push(&mut batch, &made, false);
            expected.push(Outcome::Duplicate { index: n, leaf_hash: writer.leaf_hashes(n..n + 1).unwrap()[0] });
            if n % 3 == 0 {
                let mut other = entries::entry(n + 1_000_000, 50);
                other.tags.identity = made.tags.identity;
                entries::push(&mut batch, &other, false);
                expected.push(Outcome::Conflict { index: n });
            }
        }
        let answers = writer.commit(vec![batch]).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(answers[0].outcomes, expected, "{what}");
    }
    assert_eq!(writer.size(), size, "{what}: a repeat was appended");
}

fn runs(world: &World) -> Vec<PathBuf> {
    world.disk.files().into_iter().filter(|path| path.starts_with("/views")).collect()
}

#[test]
fn an_identity_is_known_after_sealing_after_a_restart_and_without_its_index() {
    let world = World::new();
    let (mut writer, sealer) = grown(&world, 12);
    assert!(writer.size() > 4 * BUNDLE && !runs(&world).is_empty());
    all_known(&mut writer, "sealed");
    // Fresh ids of the server are not looked up, and new ones are appended.
    let answers = writer.commit(vec![entries::batch(5_000, 2, 60, false)]).unwrap();
    assert!(matches!(answers[0].outcomes[..], [Outcome::Appended { .. }, Outcome::Appended { .. }]));
    drop((writer, sealer));
    world.disk.kill();
    let (mut writer, _) = world.open(&[]).unwrap();
    // The two newest are not of this row.
    let size = writer.size();
    assert_eq!(size, 12 * 90 + 2);
    let again = writer.commit(vec![entries::batch(0, 1_080, 60, false)]).unwrap();
    let firsts: Vec<_> = again[0].outcomes.iter().map(|outcome| matches!(outcome, Outcome::Duplicate { .. })).collect();
    assert!(firsts.len() == 1_080 && firsts.iter().all(|known| *known));
    let kept = runs(&world);
    drop(writer);
    for path in &kept {
        world.disk.kill();
        let whole = world.disk.snapshot();
        let bytes = world.disk.read_file(path).unwrap();
        world.disk.delete_file(path).unwrap();
        let (mut writer, _) = world.open(&[]).unwrap();
        let answers = writer.commit(vec![entries::batch(0, 1_080, 60, false)]).unwrap();
        assert!(answers[0].outcomes.iter().all(|outcome| matches!(outcome, Outcome::Duplicate { .. })));
        assert_eq!(world.disk.read_file(path).unwrap(), bytes, "rebuilt, and not the same");
        world.disk.restore(&whole);
    }
    check_same_index(&world, &kept);
}

/// The whole folder deleted: rebuilt with the same answers.
fn check_same_index(world: &World, kept: &[PathBuf]) {
    kept.iter().for_each(|path| world.disk.delete_file(path).unwrap());
    let (mut writer, _) = world.open(&[]).unwrap();
    let answers = writer.commit(vec![entries::batch(0, 1_080, 60, false)]).unwrap();
    assert!(answers[0].outcomes.iter().all(|outcome| matches!(outcome, Outcome::Duplicate { .. })));
}

/// A run that was falsified while nobody looked: header and filter are noticed at the start, blocks when they are read.
/// Until the run is made again the answer is `Busy`, never a second entry.
#[test]
fn a_falsified_index_is_noticed_and_made_again() {
    let world = World::new();
    drop(grown(&world, 8));
    world.disk.kill();
    let whole = world.disk.snapshot();
    let path = runs(&world).remove(0);
    let bytes = world.disk.read_file(&path).unwrap();
    let mut busy = 0;
    for offset in (0..bytes.len()).step_by(61) {
        world.disk.restore(&whole);
        world.disk.flip(&path, offset, 0x08).unwrap();
        let (mut writer, _) = world.open(&[]).unwrap();
        let mut sealer = writer.sealer();
        let size = writer.size();
        let mut sent = 0;
        while sent < size {
            match writer.commit(vec![entries::batch(sent, 60, 60, false)]) {
                Ok(_) => sent += 60,
                Err(AppendError::Busy(why)) => {
                    assert!(why.contains("duplicate index"), "{why}");
                    busy += 1;
                    rest(&mut sealer, size).unwrap();
                }
                Err(other) => panic!("byte {offset}: {other}"),
            }
        }
        assert_eq!(writer.size(), size, "byte {offset}: a repeat was appended");
        assert_eq!(world.disk.read_file(&path).unwrap(), bytes);
    }
    assert!(busy > 100, "only {busy} damaged blocks were met");
}

/// A whole run with right MACs that names other entries: whoever holds the key of `views/` cannot make a duplicate, or
/// hide behind one, because the sealed tags decide.
#[test]
fn a_hit_counts_only_by_the_sealed_tags() {
    let world = World::new();
    drop(grown(&world, 8));
    world.disk.kill();
    let path = runs(&world).remove(0);
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut bytes = world.disk.read_file(&path).unwrap();
    // Every index of the first block moved by one, its MAC made again.
    let records = u64::from_be_bytes(bytes[24..32].try_into().unwrap());
    let filter = usize::try_from(u64::from_be_bytes(bytes[32..40].try_into().unwrap())).unwrap();
    let block = &mut bytes[288 + filter..288 + filter + 4096];
    for record in block.chunks_mut(24).take(169) {
        let index = u64::from_be_bytes(record[16..24].try_into().unwrap());
        record[16..24].copy_from_slice(&((index + 1) % records).to_be_bytes());
    }
    let parts: [&[u8]; 5] =
        [b"proofbook/views/v1", rig::ULID.as_bytes(), name.as_bytes(), &2u64.to_be_bytes(), &block[..4064]];
    let mac = rig::views_mac()(&parts);
    block[4064..].copy_from_slice(&mac);
    world.disk.write_file(&path, &bytes).unwrap();
    let (mut writer, _) = world.open(&[]).unwrap();
    let mut sealer = writer.sealer();
    let size = writer.size();
    let first = writer.commit(vec![entries::batch(0, 90, 60, false)]);
    assert!(matches!(first, Err(AppendError::Busy(_))), "{first:?}");
    rest(&mut sealer, size).unwrap();
    all_known(&mut writer, "rebuilt");
}

/// Tags themselves altered: evidence, not a view. It is named, and nothing more is appended.
#[test]
fn altered_sealed_tags_are_damage() {
    let world = World::new();
    let (mut writer, mut sealer) = grown(&world, 8);
    let tags = PathBuf::from(format!("/l/sealed/{:020}.tags", 0));
    world.disk.flip(&tags, 24 + 32 * 7, 1).unwrap();
    let refused = writer.commit(vec![entries::batch(3, 1, 60, false)]);
    let Err(AppendError::Poisoned(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains(tags.to_str().unwrap()) && why.contains("entry 3"), "{why}");
    assert!(matches!(writer.commit(vec![entries::batch(9_000, 1, 60, true)]), Err(AppendError::Poisoned(_))));
    rest(&mut sealer, 720).unwrap();
    world.disk.kill();
    // With the index gone too, the tags are read as a whole to make it again.
    runs(&world).iter().for_each(|path| world.disk.delete_file(path).unwrap());
    let (mut writer, _) = world.open(&[]).unwrap();
    let refused = writer.commit(vec![entries::batch(9_000, 1, 60, false)]);
    assert!(matches!(refused, Err(AppendError::Busy(_))), "{refused:?}");
    let error = rest(&mut writer.sealer(), 720).unwrap_err();
    assert!(matches!(&error, SealError::Damage(what) if what.contains(tags.to_str().unwrap())), "{error}");
}

/// Where the index cannot be written the ledger still starts; what it cannot know it does not answer.
#[test]
fn without_room_for_the_index_repeats_wait_and_fresh_entries_go_on() {
    let world = World::new();
    drop(grown(&world, 8));
    world.disk.kill();
    runs(&world).iter().for_each(|path| world.disk.delete_file(path).unwrap());
    world.disk.fail(Fault::for_ever(OpKind::Create, 1, FaultKind::Enospc).where_path_has("/views/"));
    let (mut writer, _) = world.open(&[]).unwrap();
    let mut sealer = writer.sealer();
    let size = writer.size();
    assert!(matches!(writer.commit(vec![entries::batch(0, 5, 60, false)]), Err(AppendError::Busy(_))));
    writer.commit(vec![entries::batch(size, 5, 60, true)]).unwrap();
    assert!(matches!(rest(&mut sealer, size), Err(SealError::Waits(_))));
    check(&writer, size + 5);
    world.disk.heal();
    rest(&mut sealer, size).unwrap();
    all_known(&mut writer, "healed");
}

/// The index is bounded in files however many sets there are, and merging changes no answer.
#[test]
fn many_sets_give_few_runs() {
    let world = World::new();
    let (mut writer, _) = world.open(&[]).unwrap();
    let mut sealer = writer.sealer();
    for n in 0..100 {
        writer.commit(vec![entries::batch(writer.size(), 128, 60, n % 2 == 0)]).unwrap();
        rest(&mut sealer, writer.size()).unwrap();
        if n % 10 == 0 {
            writer.commit(vec![entries::batch(n * 100, 128, 60, false)]).unwrap();
        }
    }
    let sets = world.disk.door().list(Path::new("/l/sealed")).unwrap().len() / 5;
    assert!(sets > 40 && runs(&world).len() <= 16, "{sets} sets, {} runs", runs(&world).len());
    all_known(&mut writer, "merged");
}

#[test]
fn one_id_in_two_ledgers_is_two_entries() {
    let rig = Rig::new();
    let folder = ledger::DataFolder::open(&rig.disk(), &rig.data()).unwrap();
    let other = ledger::About { ulid: "01J00000000000000000000001".to_owned(), ..rig::about() };
    let other = ledger::About { origin: "test/logs/other".to_owned(), name: "other".to_owned(), ..other };
    folder.create_ledger(&other, b"[]\n", 1).unwrap();
    let open = |ulid: &str| rig.open_ledger(ulid).unwrap().0;
    for round in 0..2 {
        let (one, two) = (open(rig::ULID), open(&other.ulid));
        for ledger in [&one, &two] {
            let answers = append(ledger, numbered(0, 300)).unwrap();
            let appended = answers.outcomes.iter().filter(|o| matches!(o, Outcome::Appended { .. })).count();
            assert_eq!((answers.size, appended), (300, if round == 0 { 300 } else { 0 }));
        }
        rig.advance_ms(3_600_000);
        until("both are sealed", || one.status().sealed_size == 256 && two.status().sealed_size == 256);
        until("both are released", || {
            one.status().backlog_bytes > 0 && rig.data().join("views").join(rig::ULID).exists()
        });
        one.close().unwrap();
        two.close().unwrap();
    }
    // A run of one ledger means nothing in the other.
    let run = format!("dedup/{:020}-{:020}.run", 0, 256);
    let views = rig.data().join("views");
    std::fs::copy(views.join(rig::ULID).join(&run), views.join(&other.ulid).join(&run)).unwrap();
    let two = open(&other.ulid);
    assert!(append(&two, numbered(0, 300)).unwrap().outcomes.iter().all(|o| matches!(o, Outcome::Duplicate { .. })));
    two.close().unwrap();
}

/// `Rollback` and the like stay what they were: the index takes no part in recovery.
#[test]
fn the_index_takes_no_part_in_recovery() {
    let world = World::new();
    let (writer, _) = grown(&world, 8);
    let at = crate::known(&writer);
    world.disk.kill();
    for path in runs(&world) {
        world.disk.write_file(&path, b"nonsense").unwrap();
    }
    let opened: Result<(), OpenError> = world.open(&[at]).map(|_| ());
    opened.unwrap();
}
