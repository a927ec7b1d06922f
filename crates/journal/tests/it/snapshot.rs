//! Snapshots are believed only if MAC and log agree.

use journal::fold::snapshot::{Name, decode, encode};
use tlog::Hash;

use crate::control::{fold, history};

fn mac(parts: &[&[u8]]) -> [u8; 32] {
    // Stands for the vault's HMAC: any function of all bytes that no test forges.
    tlog::leaf_hash(&parts.concat()).0
}

const NAME: Name<'_> = Name { ledger: "01ARZ3NDEKTSV4RRFFQ69G5FAV", name: "control" };

#[test]
fn a_snapshot_is_used_only_as_it_was_written_and_for_this_log() {
    let state = fold(&history());
    let root = Hash([5; 32]);
    let at = |size: u64| (size == 8).then_some(root);
    let text = encode(NAME, 8, &root, &state, &mac).unwrap();
    assert_eq!(decode(NAME, text.as_bytes(), &mac, &at), Some((8, state)));

    let none = |name, bytes: &[u8], at: &dyn Fn(u64) -> Option<Hash>| {
        decode::<serde_json::Value>(name, bytes, &mac, at).is_none()
    };
    assert!(none(NAME, text.as_bytes(), &|_| Some(Hash([6; 32]))), "another root");
    assert!(none(NAME, text.as_bytes(), &|_| None), "a log that is shorter");
    assert!(none(Name { name: "gaps", ..NAME }, text.as_bytes(), &at), "another fold");
    assert!(none(Name { ledger: "other", ..NAME }, text.as_bytes(), &at), "another ledger");
    for n in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[n] ^= 1;
        assert!(none(NAME, &bytes, &at), "byte {n}");
        assert!(none(NAME, &text.as_bytes()[..n], &at), "cut at {n}");
    }
}
