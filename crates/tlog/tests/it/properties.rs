//! Properties of tree, tiles and proofs over random sizes: every mutation of a proof is refused.

use proptest::collection;
use proptest::prelude::*;
use tlog::*;

use crate::vectors::Leaves;

/// The definition of RFC 6962 2.1, word for word.
fn mth(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::EMPTY_ROOT,
        [leaf] => *leaf,
        more => {
            let k = (more.len() as u64).div_ceil(2).next_power_of_two() as usize;
            node_hash(&mth(&more[..k]), &mth(&more[k..]))
        }
    }
}

fn tree() -> &'static Leaves {
    static TREE: std::sync::OnceLock<Leaves> = std::sync::OnceLock::new();
    TREE.get_or_init(|| Leaves::new(1 << 11))
}

/// All proofs that differ from this one by a flipped bit, a hash too few, too many, or two swapped.
fn mutations(proof: &[Hash], at: usize, bit: usize) -> Vec<Vec<Hash>> {
    let mut all = vec![[proof, &[Hash::EMPTY_ROOT]].concat(), [&[Hash::EMPTY_ROOT], proof].concat()];
    if !proof.is_empty() {
        let at = at % proof.len();
        let mut flipped = proof.to_vec();
        flipped[at].0[bit / 8 % 32] ^= 1 << (bit % 8);
        let mut short = proof.to_vec();
        short.remove(at);
        let mut double = proof.to_vec();
        double.insert(at, proof[at]);
        all.extend([flipped, short, double]);
        if proof.len() > 1 {
            let mut swapped = proof.to_vec();
            swapped.swap(at, (at + 1) % proof.len());
            all.push(swapped);
        }
    }
    all
}

#[test]
fn valid_subtrees_are_those_of_the_draft() {
    for end in 0..80_u64 {
        for start in 0..=end {
            let length = end - start;
            let by_definition = start == 0
                || length == 0
                || (0..8).map(|k| 1 << k).find(|power| *power >= length).is_some_and(|power| start % power == 0);
            assert_eq!(valid_subtree(start, end), by_definition, "[{start}, {end})");
        }
    }
    assert!(valid_subtree(8, 13));
    assert!(!valid_subtree(1, 0) && !valid_subtree(0, 1 << 63) && !valid_subtree(1, u64::MAX));
    assert!(valid_subtree(0, (1 << 63) - 1) && !valid_subtree(1, (1 << 63) - 1));
}

#[test]
fn every_subtree_of_small_trees_is_proven() {
    let leaves = tree();
    for size in 0..40_u64 {
        let top = mth(&leaves.0[..size as usize]);
        for end in 0..=size {
            for start in (0..=end).filter(|start| valid_subtree(*start, end)) {
                let hash = mth(&leaves.0[start as usize..end as usize]);
                assert_eq!(subtree_hash(leaves, start, end), Ok(hash));
                let proof = subtree_consistency(leaves, start, end, size).unwrap();
                assert_eq!(verify_subtree_consistency(start, end, size, &proof, &hash, &top), Ok(()));
                for index in start..end {
                    let proof = subtree_inclusion(leaves, index, start, end).unwrap();
                    let leaf = leaves.0[index as usize];
                    assert_eq!(verify_subtree_inclusion(&leaf, index, start, end, &proof, &hash), Ok(()));
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_proven_is_refused() {
    use ProofError::*;
    let leaves = Leaves::new(10);
    let (a, b) = (leaves.0[0], leaves.0[1]);
    assert_eq!(inclusion(&leaves, 10, 10), Err(BeyondTree { end: 11, size: 10 }));
    assert_eq!(inclusion(&leaves, u64::MAX, 10), Err(BeyondTree { end: u64::MAX, size: 10 }));
    assert!(matches!(inclusion(&leaves, 0, 12), Err(NodeMissing(_))));
    assert_eq!(consistency(&leaves, 11, 10), Err(BeyondTree { end: 11, size: 10 }));
    assert_eq!(subtree_consistency(&leaves, 1, 3, 10), Err(InvalidSubtree { start: 1, end: 3 }));
    assert_eq!(subtree_hash(&leaves, 3, 2), Err(InvalidSubtree { start: 3, end: 2 }));
    assert_eq!(root(&leaves, 1 << 63), Err(SizeTooLarge { size: 1 << 63 }));
    assert_eq!(subtree_inclusion(&leaves, 7, 8, 10), Err(BeyondTree { end: 8, size: 10 }));
    assert_eq!(verify_inclusion(&a, 0, 0, &[], &a), Err(BeyondTree { end: 1, size: 0 }));
    assert_eq!(verify_inclusion(&a, 0, 1, &[], &b), Err(WrongRoot));
    assert_eq!(verify_inclusion(&a, 0, 1 << 63, &[], &a), Err(SizeTooLarge { size: 1 << 63 }));
    let flood = vec![a; 1000];
    assert!(matches!(verify_inclusion(&a, 0, (1 << 63) - 1, &flood, &a), Err(WrongLength { expected: 63, got: 1000 })));
    // The empty tree: nothing to prove, and one root.
    assert_eq!(verify_consistency(0, 5, &[], &Hash::EMPTY_ROOT, &a), Ok(()));
    assert_eq!(verify_consistency(0, 5, &[a], &Hash::EMPTY_ROOT, &a), Err(WrongLength { expected: 0, got: 1 }));
    assert_eq!(verify_consistency(0, 5, &[], &a, &a), Err(WrongOldRoot));
    assert_eq!(verify_consistency(0, 0, &[], &Hash::EMPTY_ROOT, &a), Err(WrongRoot));
    assert_eq!(verify_consistency(5, 5, &[], &a, &b), Err(WrongRoot));
    assert_eq!(verify_consistency(5, 4, &[], &a, &b), Err(BeyondTree { end: 5, size: 4 }));
    assert_eq!(Frontier::from_parts(3, vec![a]), None);
    assert_eq!(Frontier::from_parts(1 << 63, vec![a]), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn frontier_nodes_and_definition_agree(size in 0_usize..2048, cut in 0_usize..2048) {
        let leaves = tree();
        let expected = mth(&leaves.0[..size]);
        let mut frontier = Frontier::new();
        frontier.extend(&leaves.0[..cut.min(size)]);
        let mut frontier = Frontier::from_parts(frontier.size(), frontier.hashes().to_vec()).unwrap();
        for leaf in &leaves.0[cut.min(size)..size] {
            frontier.push(*leaf);
        }
        prop_assert_eq!(frontier.root(), expected);
        // The same tree, its whole eights by their roots.
        let mut by_eights = Frontier::new();
        let whole = size / 8 * 8;
        for eight in leaves.0[..whole].chunks(8) {
            prop_assert!(by_eights.push_subtree(perfect_root(eight), 8));
        }
        by_eights.extend(&leaves.0[whole..size]);
        prop_assert_eq!(by_eights, frontier);
        prop_assert_eq!(root(leaves, size as u64), Ok(expected));
        if size.is_power_of_two() {
            prop_assert_eq!(perfect_root(&leaves.0[..size]), expected);
        }
    }

    #[test]
    fn inclusion_holds_for_its_leaf_alone(size in 1_u64..2048, index: u64, other: u64, at: usize, bit: usize) {
        let (leaves, index, other) = (tree(), index % size, other % size);
        let top = root(leaves, size).unwrap();
        let proof = inclusion(leaves, index, size).unwrap();
        let leaf = leaves.0[index as usize];
        prop_assert_eq!(verify_inclusion(&leaf, index, size, &proof, &top), Ok(()));
        if other != index {
            prop_assert!(verify_inclusion(&leaf, other, size, &proof, &top).is_err());
            prop_assert!(verify_inclusion(&leaves.0[other as usize], index, size, &proof, &top).is_err());
        }
        prop_assert!(verify_inclusion(&leaf, index, size, &proof, &leaf_hash(b"no")).is_err());
        for wrong in mutations(&proof, at, bit) {
            prop_assert!(verify_inclusion(&leaf, index, size, &wrong, &top).is_err());
        }
    }

    #[test]
    fn consistency_holds_for_its_sizes_alone(new in 1_u64..2048, old: u64, at: usize, bit: usize) {
        let (leaves, old) = (tree(), 1 + old % new);
        let (before, after) = (root(leaves, old).unwrap(), root(leaves, new).unwrap());
        let proof = consistency(leaves, old, new).unwrap();
        prop_assert_eq!(verify_consistency(old, new, &proof, &before, &after), Ok(()));
        prop_assert!(verify_consistency(old, new, &proof, &leaf_hash(b"no"), &after).is_err());
        prop_assert!(verify_consistency(old, new, &proof, &before, &leaf_hash(b"no")).is_err());
        for wrong in mutations(&proof, at, bit) {
            prop_assert!(verify_consistency(old, new, &wrong, &before, &after).is_err());
        }
    }

    #[test]
    fn subtrees_hold_for_their_range_alone(
        size in 1_u64..2048, a: u64, level in 0_u32..11, length: u64, at: usize, bit: usize,
    ) {
        let leaves = tree();
        let start = (a % size) >> level << level;
        let end = start + 1 + length % (1 << level).min(size - start);
        prop_assume!(valid_subtree(start, end));
        let (hash, top) = (subtree_hash(leaves, start, end).unwrap(), root(leaves, size).unwrap());
        prop_assert_eq!(hash, mth(&leaves.0[start as usize..end as usize]));
        let proof = subtree_consistency(leaves, start, end, size).unwrap();
        prop_assert_eq!(verify_subtree_consistency(start, end, size, &proof, &hash, &top), Ok(()));
        prop_assert!(verify_subtree_consistency(start, end, size, &proof, &leaf_hash(b"no"), &top).is_err());
        for wrong in mutations(&proof, at, bit) {
            prop_assert!(verify_subtree_consistency(start, end, size, &wrong, &hash, &top).is_err());
        }
    }

    #[test]
    fn tiles_hold_the_nodes_they_should(size in 1_u64..2048, level in 0_u8..11, index: u64) {
        let leaves = tree();
        prop_assume!(size >> level > 0);
        let index = index % (size >> level);
        let place = node_place(level, index).unwrap();
        let here = |tile: &TilePath| (tile.level(), tile.index) == (place.tile_level, place.tile_index);
        let tile = tiles_of(size).find(here).unwrap();
        prop_assert!(place.first + place.count <= usize::from(tile.width));
        let hashes: Vec<Hash> = (0..u64::from(tile.width))
            .map(|i| leaves.node(tile.level() * 8, tile.index * 256 + i).unwrap())
            .collect();
        let joined = perfect_root(&hashes[place.first..place.first + place.count]);
        prop_assert_eq!(joined, leaves.node(level, index).unwrap());
    }

    #[test]
    fn tile_paths_come_back(index in 0..limits::TILE_INDEX_END, level in 0_u8..=63, width in 1_u16..=256) {
        let tile = TilePath::tile(level, index, width);
        for path in [tile, TilePath::entries(index, width), TilePath::bodies(index, width)] {
            let path = path.unwrap();
            prop_assert_eq!(TilePath::parse(&path.to_string()), Ok(path));
        }
    }

    #[test]
    fn parsers_take_any_bytes(
        bytes: Vec<u8>,
        text in "(old |index |log |group |quorum |tile/|\n|\n\n|\u{2014} |[a-z0-9+/=]){0,40}",
    ) {
        for input in [bytes.as_slice(), text.as_bytes()] {
            if let Ok(note) = Note::parse(input) {
                prop_assert_eq!(note.to_string().into_bytes(), input);
            }
            if let Ok(proof) = TlogProof::parse(input) {
                prop_assert_eq!(proof.to_text().into_bytes(), input);
            }
            if let Ok(entries) = decode_bundle(input) {
                prop_assert_eq!(encode_bundle(entries).unwrap(), input);
            }
            let _ = decode_bodies(input);
            let _ = Policy::parse(input);
            let _ = witness::AddCheckpoint::parse(input);
            let _ = witness::SignSubtree::parse(input);
            let _ = mirror::AddEntries::parse(input);
            let _ = mirror::MirrorInfo::parse(input);
        }
        if let Ok(path) = TilePath::parse(&text) {
            prop_assert_eq!(path.to_string(), text.clone());
        }
        let _ = Vkey::parse(&text);
        let _ = KeyNote::parse(&text);
        let _ = Checkpoint::parse(&text);
    }

    #[test]
    fn bundles_come_back(entries in collection::vec(collection::vec(any::<u8>(), 0..300), 0..=256)) {
        let bundle = encode_bundle(entries.iter().map(Vec::as_slice)).unwrap();
        prop_assert_eq!(decode_bundle(&bundle).unwrap(), entries.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }
}
