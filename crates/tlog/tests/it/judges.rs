//! Foreign judges: the crates `signed_note` and `tlog_tiles` agree with us on bytes, proofs and refusals.

use signed_note::{Signer as _, Verifier as _, VerifierList};
use tlog::*;
use tlog_tiles::HashReader;

use crate::vectors::{Leaves, signer, text, vectors};

/// Our leaves as that crate's stored hashes.
impl HashReader for Leaves {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        let read = |index: &u64| {
            let (level, n) = tlog_tiles::split_stored_hash_index(*index);
            tlog_tiles::Hash(self.node(level, n).unwrap().0)
        };
        Ok(indexes.iter().map(read).collect())
    }
}

fn ours(proof: &[tlog_tiles::Hash]) -> Vec<Hash> {
    proof.iter().map(|hash| Hash(hash.0)).collect()
}

fn theirs(proof: &[Hash]) -> Vec<tlog_tiles::Hash> {
    proof.iter().map(|hash| tlog_tiles::Hash(hash.0)).collect()
}

#[test]
fn hashes_are_theirs() {
    for entry in [&b""[..], b"leaf-0", &[0xff; 70_000]] {
        assert_eq!(leaf_hash(entry).0, tlog_tiles::record_hash(entry).0);
    }
    let (left, right) = (leaf_hash(b"a"), leaf_hash(b"b"));
    let node = tlog_tiles::node_hash(tlog_tiles::Hash(left.0), tlog_tiles::Hash(right.0));
    assert_eq!(node_hash(&left, &right).0, node.0);
    assert_eq!(Hash::EMPTY_ROOT.0, tlog_tiles::EMPTY_HASH.0);
}

#[test]
fn every_proof_of_small_trees_is_theirs() {
    let leaves = Leaves::new(66);
    for size in 1..=66 {
        let top = root(&leaves, size).unwrap();
        let their_top = tlog_tiles::tree_hash(size, &leaves).unwrap();
        assert_eq!(top.0, their_top.0);
        for index in 0..size {
            let proof = inclusion(&leaves, index, size).unwrap();
            assert_eq!(proof, ours(&tlog_tiles::prove_record(size, index, &leaves).unwrap()));
            let leaf = tlog_tiles::Hash(leaves.0[index as usize].0);
            assert!(tlog_tiles::check_record(&theirs(&proof), size, their_top, index, leaf).is_ok());
        }
        for old in 1..=size {
            let proof = consistency(&leaves, old, size).unwrap();
            assert_eq!(proof, ours(&tlog_tiles::prove_tree(size, old, &leaves).unwrap()));
            let old_root = tlog_tiles::Hash(root(&leaves, old).unwrap().0);
            assert!(tlog_tiles::check_tree(&theirs(&proof), size, their_top, old, old_root).is_ok());
        }
    }
}

#[test]
fn tiles_and_paths_are_theirs() {
    for size in [1, 255, 256, 257, 511, 65_535, 65_536, 70_000, 1_000_000] {
        let mut paths: Vec<String> = tiles_of(size).map(|tile| tile.to_string()).collect();
        let new = tlog_tiles::Tile::new_tiles(8, 0, size);
        let mut other: Vec<String> = new.iter().map(|tile| tile.path().replacen("/8/", "/", 1)).collect();
        paths.sort();
        other.sort();
        assert_eq!(paths, other, "{size}");
    }
    for index in [0, 1, 999, 1000, 1_234_067, 999_999_999, u64::from(u32::MAX)] {
        let tile = tlog_tiles::Tile::new(8, 0, index, 17, false);
        let path = tile.path().replacen("/8/", "/", 1);
        assert_eq!(TilePath::tile(0, index, 17).unwrap().to_string(), path);
    }
}

#[test]
fn key_ids_and_signatures_are_theirs() {
    let vectors = vectors();
    let skey = text(&vectors["ed25519_log"], "skey");
    let vkey = text(&vectors["ed25519_log"], "vkey");
    let their_signer = signed_note::StandardSigner::new(skey).unwrap();
    let their_verifier = signed_note::StandardVerifier::new(vkey).unwrap();
    let our_signer = signer("log.example.com/audit", 0x42);
    let ours = &our_signer.vkeys()[0];
    assert_eq!(ours.to_string(), vkey);
    assert_eq!(u32::from_be_bytes(ours.key_id), their_verifier.key_id());
    assert_eq!(their_signer.key_id(), their_verifier.key_id());

    // They read and verify what we sign; of our two lines they know one.
    let checkpoint = Checkpoint { origin: "log.example.com/audit".into(), size: 0, root: Hash::EMPTY_ROOT };
    let signed = our_signer.sign(&checkpoint, 1);
    let note = signed_note::Note::from_bytes(signed.as_bytes()).unwrap();
    let known = VerifierList::new(vec![Box::new(their_verifier.clone())]);
    let (verified, unverified) = note.verify(&known).unwrap();
    assert_eq!((verified.len(), unverified.len()), (1, 1));
    let read = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
    assert_eq!((read.origin(), read.size(), read.hash().0), ("log.example.com/audit", 0, Hash::EMPTY_ROOT.0));

    // We read and verify what they sign, byte for byte.
    let mut note = signed_note::Note::new(checkpoint.to_text().as_bytes(), &[]).unwrap();
    note.add_sigs(&[&their_signer]).unwrap();
    let bytes = note.to_bytes();
    assert!(signed.as_bytes().starts_with(&bytes));
    assert_eq!(verify_checkpoint(&bytes, &our_signer.vkeys(), None), Ok(checkpoint));
}

#[test]
fn both_refuse_the_same_notes() {
    let good = "text\n\n\u{2014} a.example AAAAAAA=\n";
    assert!(Note::parse(good.as_bytes()).is_ok() && signed_note::Note::from_bytes(good.as_bytes()).is_ok());
    for bad in [
        "",
        "text\n",
        "text\n\n",
        "text\n\u{2014} a.example AAAAAAA=\n",
        "text\n\n\u{2014} a.example AAAAAAA=",
        "text\n\n\u{2014} a.example AAAAAAA=\n\n",
        "text\n\n- a.example AAAAAAA=\n",
        "text\n\n\u{2014}  a.example AAAAAAA=\n",
        "text\n\n\u{2014} a.example  AAAAAAA=\n",
        "text\n\n\u{2014} a+example AAAAAAA=\n",
        "text\n\n\u{2014} a.example AAAAAA==\n",
        "text\n\n\u{2014} a.example AAAAAAB=\n",
        "text\n\n\u{2014} a.example AAAAAAA\n",
        "text\n\n\u{2014} a.example !!!!!!!=\n",
        "text\n\n\u{2014} \u{a0} AAAAAAA=\n",
        "text\twith tab\n\n\u{2014} a.example AAAAAAA=\n",
        "text\r\n\n\u{2014} a.example AAAAAAA=\n",
    ] {
        assert!(Note::parse(bad.as_bytes()).is_err(), "{bad:?}");
        assert!(signed_note::Note::from_bytes(bad.as_bytes()).is_err(), "they read {bad:?}");
    }
}
