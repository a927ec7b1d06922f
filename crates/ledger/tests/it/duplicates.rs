//! Identity is for ever: within a batch, within a block, across blocks and restarts.

use ledger::{Batch, Outcome};
use testkit::entries;

use crate::World;

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
