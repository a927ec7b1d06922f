//! tlog-cosignature: the messages cosigners sign, and lines made with a closure that signs. Decides nothing about
//! what may be cosigned: that is [`crate::witness`].

use std::sync::Arc;

use crate::checkpoint::Checkpoint;
use crate::hash::Hash;
use crate::limits::{NAME_BYTES_MAX, TIMESTAMP_MAX};
use crate::note::SignatureLine;
use crate::tree::valid_subtree;
use crate::vkey::{KeyKind, Vkey, VkeyError};

/// What an ML-DSA-44 cosignature is about: the leaves `[start, end)` of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CosignedSubtree<'a> {
    /// Origin of the log.
    pub origin: &'a str,
    /// First leaf.
    pub start: u64,
    /// One past the last leaf.
    pub end: u64,
    /// `MTH(D[start:end])`.
    pub hash: Hash,
}

impl<'a> CosignedSubtree<'a> {
    /// The whole tree of a checkpoint.
    pub fn tree(checkpoint: &'a Checkpoint) -> Self {
        Self { origin: &checkpoint.origin, start: 0, end: checkpoint.size, hash: checkpoint.root }
    }
}

/// What an Ed25519 cosigner (0x04) signs: the time and the whole text of the checkpoint, extensions included.
pub fn cosignature_message(timestamp: u64, checkpoint_text: &str) -> String {
    format!("cosignature/v1\ntime {timestamp}\n{checkpoint_text}")
}

/// What an ML-DSA-44 cosigner (0x06) signs.
///
/// None where a name is not 1 to 255 bytes long or the origin holds a LF, the timestamp is 2^63 or more or not 0 for
/// a subtree that starts behind leaf 0, or the range is no subtree.
pub fn subtree_message(cosigner: &str, timestamp: u64, subtree: &CosignedSubtree<'_>) -> Option<Vec<u8>> {
    let CosignedSubtree { origin, start, end, hash } = subtree;
    if timestamp > TIMESTAMP_MAX || !valid_subtree(*start, *end) || origin.contains('\n') {
        return None;
    }
    if *start != 0 && timestamp != 0 {
        return None;
    }
    let mut message = b"subtree/v1\n\0".to_vec();
    push_name(&mut message, cosigner)?;
    message.extend_from_slice(&timestamp.to_be_bytes());
    push_name(&mut message, origin)?;
    message.extend_from_slice(&start.to_be_bytes());
    message.extend_from_slice(&end.to_be_bytes());
    message.extend_from_slice(&hash.0);
    Some(message)
}

/// `u8 length || bytes`, 1 to 255 bytes.
fn push_name(message: &mut Vec<u8>, name: &str) -> Option<()> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return None;
    }
    message.push(u8::try_from(name.len()).ok()?);
    message.extend_from_slice(name.as_bytes());
    Some(())
}

/// Signs a message: 64 bytes of an Ed25519 key, 2,420 of an ML-DSA-44 key with empty context.
pub type Sign = Arc<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// A cosigner: its public key and a closure that signs. One key serves one role and name.
#[derive(Clone)]
pub struct Cosigner {
    vkey: Vkey,
    sign: Sign,
}

impl Cosigner {
    /// An Ed25519 cosigner, type 0x04.
    ///
    /// # Errors
    /// `BadName`, also for one beyond 255 bytes; `BadKey`.
    pub fn ed25519(name: &str, public: &[u8; 32], sign: Sign) -> Result<Self, VkeyError> {
        Self::new(name, KeyKind::CosignatureEd25519, public, sign)
    }

    /// An ML-DSA-44 cosigner, type 0x06.
    ///
    /// # Errors
    /// `BadName`, also for one beyond 255 bytes; `BadKey`.
    pub fn ml_dsa_44(name: &str, public: &[u8], sign: Sign) -> Result<Self, VkeyError> {
        Self::new(name, KeyKind::CosignatureMlDsa44, public, sign)
    }

    fn new(name: &str, kind: KeyKind, public: &[u8], sign: Sign) -> Result<Self, VkeyError> {
        if name.len() > NAME_BYTES_MAX {
            return Err(VkeyError::BadName);
        }
        Ok(Self { vkey: Vkey::new(name, kind, public)?, sign })
    }

    /// The key others verify with.
    pub fn vkey(&self) -> &Vkey {
        &self.vkey
    }

    /// Cosigns a checkpoint text: at `timestamp` this is the largest consistent tree seen. Calls the closure once.
    ///
    /// None where the text is no checkpoint or its origin is beyond 255 bytes, or the timestamp is 0 or beyond 2^63.
    pub fn cosign(&self, checkpoint_text: &str, timestamp: u64) -> Option<SignatureLine> {
        let checkpoint = Checkpoint::parse(checkpoint_text).ok()?;
        if timestamp == 0 || timestamp > TIMESTAMP_MAX {
            return None;
        }
        let message = match self.vkey.kind {
            KeyKind::CosignatureMlDsa44 => {
                subtree_message(&self.vkey.name, timestamp, &CosignedSubtree::tree(&checkpoint))?
            }
            _ => cosignature_message(timestamp, checkpoint_text).into_bytes(),
        };
        Some(self.line(timestamp, &message))
    }

    /// Cosigns a subtree, without a claim of time. Calls the closure once.
    ///
    /// None for an Ed25519 key, a range that is no subtree, or an origin beyond 255 bytes.
    pub fn cosign_subtree(&self, subtree: &CosignedSubtree<'_>) -> Option<SignatureLine> {
        if self.vkey.kind != KeyKind::CosignatureMlDsa44 {
            return None;
        }
        Some(self.line(0, &subtree_message(&self.vkey.name, 0, subtree)?))
    }

    fn line(&self, timestamp: u64, message: &[u8]) -> SignatureLine {
        let mut payload = timestamp.to_be_bytes().to_vec();
        payload.extend_from_slice(&(self.sign)(message));
        SignatureLine::of(&self.vkey, payload)
    }
}

impl std::fmt::Debug for Cosigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cosigner").field("name", &self.vkey.name).field("kind", &self.vkey.kind).finish_non_exhaustive()
    }
}

/// Verifies the line of an ML-DSA-44 cosigner over a tree or subtree and gives its timestamp; None where it does not
/// hold or is another's line.
pub fn verify_subtree_line(key: &Vkey, subtree: &CosignedSubtree<'_>, line: &SignatureLine) -> Option<u64> {
    if line.name != key.name || line.key_id != key.key_id {
        return None;
    }
    key.verify_subtree_payload(subtree, &line.payload).ok()
}
