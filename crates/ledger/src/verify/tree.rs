//! The tree as it is walked from the first entry on, and its roots at the sizes that others name. Judges nothing.

use tlog::Hash;

use crate::sealed::Believed;
use crate::second::{BUNDLE, SecondTree};

/// Roots at the sizes that checkpoints and pin name, told while a tree passes them.
pub(super) struct Marks {
    /// Ascending, each once.
    sizes: Vec<u64>,
    roots: Vec<Option<Hash>>,
    /// The first that no tree has passed yet.
    next: usize,
}

impl Marks {
    pub(super) fn new(mut sizes: Vec<u64>) -> Marks {
        sizes.sort_unstable();
        sizes.dedup();
        Marks { roots: vec![None; sizes.len()], sizes, next: 0 }
    }

    /// The root of the tree of this size, if it was asked for and is known.
    pub(super) fn root(&self, size: u64) -> Option<Hash> {
        let at = self.sizes.binary_search(&size).ok()?;
        self.roots.get(at).copied().flatten()
    }

    fn peek(&self) -> Option<u64> {
        self.sizes.get(self.next).copied()
    }

    /// The next size asked for; passes it.
    fn tell(&mut self, root: Option<Hash>) {
        if let Some(slot) = self.roots.get_mut(self.next) {
            *slot = root;
            self.next += 1;
        }
    }

    /// Passes a tree of this very size.
    fn at(&mut self, tree: &SecondTree) {
        if self.peek() == Some(tree.size()) {
            self.tell(Some(tree.root()));
        }
    }

    /// Sizes that no tree has passed yet.
    pub(super) fn ahead(&self) -> &[u64] {
        self.sizes.get(self.next..).unwrap_or_default()
    }

    /// Passes these sizes; those between are not known.
    pub(super) fn tell_all(&mut self, told: Vec<(u64, Hash)>) {
        for (size, root) in told {
            self.skip_below(size);
            self.tell(Some(root));
        }
    }

    /// Passes all sizes below this: their trees are not known.
    fn skip_below(&mut self, size: u64) {
        while self.peek().is_some_and(|next| next < size) {
            self.tell(None);
        }
    }
}

/// The tree over the sealed sets.
pub(super) struct SealedTree {
    tree: Option<SecondTree>,
    /// Where the first segment begins, and the tree there.
    start: Option<u64>,
    start_tree: Option<SecondTree>,
    /// Marks from here on were told since the last whole set: taken back where its root turns out to be another.
    told: usize,
}

impl SealedTree {
    pub(super) fn new(start: Option<u64>, marks: &mut Marks) -> SealedTree {
        let tree = SecondTree::default();
        marks.at(&tree);
        let start_tree = (start == Some(0)).then(|| tree.clone());
        SealedTree { tree: Some(tree), start, start_tree, told: marks.next }
    }

    /// Entries in the tree, where it is known.
    pub(super) fn size(&self) -> Option<u64> {
        self.tree.as_ref().map(SecondTree::size)
    }

    /// From here on nothing is known.
    pub(super) fn lose(&mut self) {
        self.tree = None;
    }

    /// The next bundle of a set.
    pub(super) fn bundle(&mut self, marks: &mut Marks, leaves: Option<Believed<'_>>) {
        let (Some(tree), Some(leaves)) = (&mut self.tree, leaves) else { return self.lose() };
        let from = tree.size();
        let end = from + BUNDLE as u64;
        let within = |size: u64| (from < size && size < end).then(|| usize::try_from(size - from).unwrap_or(0));
        let part = |tree: &SecondTree, count: usize| {
            let mut part = tree.clone();
            leaves.hashes.iter().take(count).for_each(|hash| part.push(*hash));
            part
        };
        if let Some(count) = self.start.and_then(within) {
            self.start_tree = Some(part(tree, count));
        }
        while let Some(count) = marks.peek().and_then(within) {
            let root = part(tree, count).root();
            marks.tell(Some(root));
        }
        tree.push_bundle(leaves.root);
        marks.at(tree);
        if self.start == Some(end) {
            self.start_tree = Some(tree.clone());
        }
    }

    /// The end of a set: whether the tree has this size and these complete subtrees; `None` where it is not known.
    pub(super) fn is(&self, size: u64, peaks: &[Hash]) -> Option<bool> {
        let tree = self.tree.as_ref()?;
        Some(tree.size() == size && tree.peaks() == Some(peaks))
    }

    /// The set is whole, or nothing in its files says otherwise.
    pub(super) fn keep(&mut self, marks: &Marks) {
        self.told = marks.next;
    }

    /// Takes back what was told since the last whole set, and goes on with the manifest's tree.
    pub(super) fn replace(&mut self, marks: &mut Marks, first: u64, size: u64, peaks: &[Hash]) {
        marks.next = self.told;
        marks.skip_below(size);
        if self.start.is_some_and(|start| first < start && start <= size) {
            self.start_tree = None;
        }
        self.tree = SecondTree::from_peaks(size, peaks.to_vec());
        if let Some(tree) = &self.tree {
            marks.at(tree);
            if self.start == Some(size) {
                self.start_tree = Some(tree.clone());
            }
        }
        self.keep(marks);
    }

    /// The tree where the first segment begins, and the one at the end of the sets.
    pub(super) fn finish(self) -> (Option<SecondTree>, Option<SecondTree>) {
        (self.start_tree, self.tree)
    }
}

/// Appends the leaves of a block that begins at entry `first`; those that the tree has are passed over.
///
/// Gives the roots at the sizes of `asked`, ascending, that it came by.
pub(super) fn push(tree: &mut SecondTree, first: u64, hashes: &[Hash], asked: &[u64]) -> Vec<(u64, Hash)> {
    let start = tree.size();
    let mut asked = asked.iter().copied().skip_while(|size| *size <= start).peekable();
    let mut told = Vec::new();
    for hash in hashes.iter().skip(usize::try_from(start.saturating_sub(first)).unwrap_or(usize::MAX)) {
        tree.push(*hash);
        if asked.next_if_eq(&tree.size()).is_some() {
            told.push((tree.size(), tree.root()));
        }
    }
    told
}
