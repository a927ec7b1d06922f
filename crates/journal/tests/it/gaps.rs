//! The fold over `source_seq`.

use journal::fold::gaps::{Command, Counter, Gaps, entry_id_of};
use journal::limits::{GAP_COMMANDS_MAX, GAP_LATER_NUMBERS, GAP_RANGES_MAX, GAP_STREAMS_MAX, GAP_WAIT_NS};

fn counter() -> Counter {
    Counter { source: "urn:s".into(), epoch: "e".into() }
}

fn gap(first: u64, last: u64) -> Command {
    Command::Gap { counter: counter(), first, last }
}

fn closed(first: u64, last: u64) -> Command {
    Command::Closed { counter: counter(), first, last }
}

fn seen(gaps: &mut Gaps, numbers: impl IntoIterator<Item = u64>, at: u64) {
    for n in numbers {
        gaps.seen("urn:s", "e", n, at);
    }
}

#[test]
fn a_gap_becomes_an_entry_after_its_time_and_is_closed_when_filled() {
    let mut gaps = Gaps::default();
    seen(&mut gaps, [7, 8, 12], 100);
    assert_eq!(gaps.due(100 + GAP_WAIT_NS - 1), []);
    assert_eq!(gaps.due(100 + GAP_WAIT_NS), [gap(9, 11)]);
    assert_eq!(gaps.due(100 + GAP_WAIT_NS), [gap(9, 11)], "until its entry is committed");
    gaps.gap_recorded(&counter(), 9, 11);
    assert_eq!(gaps.due(u64::MAX), []);
    seen(&mut gaps, [10, 9], 200);
    assert_eq!(gaps.due(u64::MAX), []);
    assert_eq!(gaps.open().count(), 1);
    seen(&mut gaps, [11], 200);
    assert_eq!(gaps.due(0), [closed(9, 11)]);
    gaps.gap_closed(&counter(), 9, 11);
    assert_eq!((gaps.due(u64::MAX), gaps.open().count()), (vec![], 0));
}

#[test]
fn later_numbers_make_it_an_entry_at_once() {
    let mut gaps = Gaps::default();
    seen(&mut gaps, [1, 3], 5);
    seen(&mut gaps, 4..2 + GAP_LATER_NUMBERS, 5);
    assert_eq!(gaps.due(5), []);
    seen(&mut gaps, [2 + GAP_LATER_NUMBERS], 5);
    assert_eq!(gaps.due(5), [gap(2, 2)]);
}

#[test]
fn a_gap_that_is_filled_in_time_leaves_no_trace() {
    let mut gaps = Gaps::default();
    seen(&mut gaps, [1, 5, 4, 2, 3, 3, 1], 5);
    assert_eq!(gaps.due(u64::MAX), []);
    // Another epoch counts anew; its first number begins the count.
    gaps.seen("urn:s", "f", 1_000, 5);
    assert_eq!(gaps.due(u64::MAX), []);
}

#[test]
fn numbers_that_arrive_before_or_during_the_entry_split_it() {
    let mut gaps = Gaps::default();
    seen(&mut gaps, [0, 10, 5], 0);
    assert_eq!(gaps.due(GAP_WAIT_NS), [gap(1, 4), gap(6, 9)]);
    // Number 2 is committed between the command and the entry.
    seen(&mut gaps, [2], 0);
    gaps.gap_recorded(&counter(), 1, 4);
    assert_eq!(gaps.due(GAP_WAIT_NS), [gap(6, 9)]);
    seen(&mut gaps, [1, 3, 4], 0);
    gaps.gap_recorded(&counter(), 6, 9);
    assert_eq!(gaps.due(0), [closed(1, 4)]);
    seen(&mut gaps, [6, 7, 8, 9], 0);
    assert_eq!(gaps.due(0), [closed(1, 4), closed(6, 9)]);
}

#[test]
fn a_restart_goes_on_from_a_snapshot() {
    let mut gaps = Gaps::default();
    seen(&mut gaps, [1, 4], 7);
    gaps.gap_recorded(&counter(), 2, 3);
    let mut again: Gaps = serde_json::from_str(&serde_json::to_string(&gaps).unwrap()).unwrap();
    assert_eq!(again, gaps);
    seen(&mut again, [2, 3], 9);
    assert_eq!(again.due(9), [closed(2, 3)]);
}

#[test]
fn memory_is_bounded() {
    let mut gaps = Gaps::default();
    for n in 0..=GAP_RANGES_MAX as u64 + 10 {
        gaps.seen("urn:s", "steps", 2 * n, 0);
    }
    assert_eq!((gaps.open().count(), gaps.untracked), (GAP_RANGES_MAX, 10));
    for n in 0..GAP_STREAMS_MAX {
        gaps.seen("urn:s", &n.to_string(), 0, 0);
    }
    assert_eq!((gaps.open().count(), gaps.untracked), (0, 11), "the stream seen longest ago went");
}

#[test]
fn one_gap_in_crumbs_is_bounded_too() {
    let mut gaps = Gaps::default();
    let far = 4 * GAP_RANGES_MAX as u64;
    seen(&mut gaps, [0, far], 0);
    // Every second number of it arrives: each would leave one more crumb behind.
    seen(&mut gaps, (1..far / 2).map(|n| 2 * n), 0);
    assert_eq!(gaps.ranges(), GAP_RANGES_MAX);
    assert!(gaps.untracked > 0, "what is given up is counted");
    let told = gaps.due(GAP_WAIT_NS);
    assert!(told.len() <= GAP_RANGES_MAX);
    let missing = |n: u64| n % 2 == 1;
    let all_missing = |c: &Command| matches!(c, Command::Gap { first, last, .. } if (*first..=*last).all(missing));
    assert!(told.iter().all(all_missing), "nothing that arrived is called missing");
}

#[test]
fn a_gap_that_is_an_entry_is_never_called_closed_too_early() {
    let mut gaps = Gaps::default();
    let far = 4 * GAP_RANGES_MAX as u64;
    seen(&mut gaps, [0, far], 0);
    gaps.gap_recorded(&counter(), 1, far - 1);
    seen(&mut gaps, (1..far / 2).map(|n| 2 * n), 0);
    assert!(gaps.ranges() <= GAP_RANGES_MAX);
    seen(&mut gaps, [1], 0);
    assert_eq!((gaps.due(u64::MAX), gaps.open().count()), (vec![], 1));
}

#[test]
fn a_step_asks_for_a_bounded_number_of_entries() {
    let mut gaps = Gaps::default();
    for stream in 0..2 * GAP_COMMANDS_MAX {
        gaps.seen("urn:s", &format!("{stream:05}"), 1, 0);
        gaps.seen("urn:s", &format!("{stream:05}"), 3, 0);
    }
    assert_eq!(gaps.due(GAP_WAIT_NS).len(), GAP_COMMANDS_MAX);
}

#[test]
fn extremes_do_not_overflow() {
    let mut gaps = Gaps::default();
    seen(&mut gaps, [0, (1 << 53) - 1, 0, 5], 0);
    assert_eq!(gaps.due(GAP_WAIT_NS).len(), 2);
    gaps.gap_recorded(&counter(), 1, 4);
    gaps.gap_recorded(&counter(), 77, 78);
    gaps.gap_closed(&Counter { source: "x".into(), epoch: "y".into() }, 0, 0);
}

#[test]
fn a_gap_has_one_id() {
    let id = entry_id_of("gap", &counter(), 1, (1 << 53) - 1);
    assert_eq!(id, entry_id_of("gap", &counter(), 1, (1 << 53) - 1));
    assert!(id.len() <= 128 && id.bytes().all(|b| b.is_ascii_graphic()));
    let swapped = Counter { source: "e".into(), epoch: "urn:s".into() };
    assert_ne!(id, entry_id_of("gap", &swapped, 1, (1 << 53) - 1));
}
