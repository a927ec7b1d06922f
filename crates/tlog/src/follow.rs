//! What a follower or monitor may conclude from a checkpoint beside the one it pinned. Verifies no signature: both
//! checkpoints come from [`crate::verify_checkpoint`] or [`crate::Policy::verify`]. Fetches no proof.

use crate::checkpoint::Checkpoint;
use crate::proof::{ProofError, verify_consistency};

/// How a checkpoint relates to the pinned one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Follow {
    /// The same tree.
    Same,
    /// A larger tree that contains the pinned one: pin it.
    Advances,
    /// A smaller tree that the pinned one contains: a view that is behind. Keep the pin.
    Behind,
    /// Two roots for one size under one origin: the log has signed two histories. No proof can mend it.
    Fork,
    /// The proof does not join the two. A bad proof accuses nobody: ask for another; a log that cannot give one is
    /// to be reported.
    Unproven(ProofError),
    /// Checkpoints of two logs.
    OtherLog,
}

/// Compares a verified checkpoint with the pinned one.
///
/// `proof` is the consistency proof from the smaller to the larger size; empty where the sizes are equal or one is 0.
pub fn follow(pinned: &Checkpoint, new: &Checkpoint, proof: &[crate::Hash]) -> Follow {
    if pinned.origin != new.origin {
        return Follow::OtherLog;
    }
    if pinned.size == new.size {
        return if pinned.root == new.root { Follow::Same } else { Follow::Fork };
    }
    let (old, large, good) =
        if pinned.size < new.size { (pinned, new, Follow::Advances) } else { (new, pinned, Follow::Behind) };
    match verify_consistency(old.size, large.size, proof, &old.root, &large.root) {
        Ok(()) => good,
        Err(error) => Follow::Unproven(error),
    }
}
