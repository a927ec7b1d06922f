//! signed-note verifier keys: their text, their key ids, and what each kind verifies. Holds no private key.

use std::cell::RefCell;
use std::fmt;

use crate::checkpoint::Checkpoint;
use crate::cosignature::{CosignedSubtree, cosignature_message, subtree_message};
use crate::encoding;
use crate::hash::sha256;
use crate::limits::{TIMESTAMP_MAX, VKEY_BYTES_MAX};
use crate::note::valid_name;

/// What a key signs, by the type byte in front of it (signed-note, table of types).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// 0x01: Ed25519 over the text of the note.
    Ed25519,
    /// 0x04: timestamped Ed25519 cosignature.
    CosignatureEd25519,
    /// 0x06: timestamped ML-DSA-44 cosignature of a tree or subtree.
    CosignatureMlDsa44,
    /// Any other: carried, never verified.
    Unknown(u8),
}

impl KeyKind {
    /// The type byte.
    pub fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::CosignatureEd25519 => 0x04,
            Self::CosignatureMlDsa44 => 0x06,
            Self::Unknown(byte) => byte,
        }
    }

    fn of(byte: u8) -> Self {
        match byte {
            0x01 => Self::Ed25519,
            0x04 => Self::CosignatureEd25519,
            0x06 => Self::CosignatureMlDsa44,
            other => Self::Unknown(other),
        }
    }
}

/// Bytes of an ML-DSA-44 public key (FIPS 204).
pub const ML_DSA_44_KEY_BYTES: usize = 1312;

/// Why a text is no verifier key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VkeyError {
    /// Not `name+hex+base64`, or longer than any key.
    #[error("a verifier key is written name+keyid+base64")]
    Malformed,
    /// The name is empty or holds a space or a plus.
    #[error("the name of a key must not be empty nor hold a space, a control character or a plus")]
    BadName,
    /// The key has the wrong length for its type, or is not a point of the curve, or a weak one.
    #[error("the public key is not one of its type")]
    BadKey,
    /// The key id in the text belongs to another name or key.
    #[error("the key id does not belong to this name and key")]
    WrongKeyId,
}

/// A verifier key: who signs, with what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Vkey {
    /// Whose key: for a log, its origin.
    pub name: String,
    /// The first bytes of the hash over name, type and key.
    pub key_id: [u8; 4],
    /// What it signs.
    pub kind: KeyKind,
    /// The public key without its type byte.
    pub key: Vec<u8>,
}

impl Vkey {
    /// A key from its parts, with its id computed.
    ///
    /// # Errors
    /// `BadName`; `BadKey`, also for unknown kinds, whose id nobody can compute.
    pub fn new(name: &str, kind: KeyKind, key: &[u8]) -> Result<Self, VkeyError> {
        if !valid_name(name) {
            return Err(VkeyError::BadName);
        }
        check_key(kind, key)?;
        if matches!(kind, KeyKind::Unknown(_)) {
            return Err(VkeyError::BadKey);
        }
        Ok(Self { name: name.to_owned(), key_id: key_id(name, kind, key), kind, key: key.to_vec() })
    }

    /// Reads `name+hex+base64`, split on the first two `+` only.
    ///
    /// The id of a key of unknown kind is taken as written.
    ///
    /// # Errors
    /// Any of [`VkeyError`].
    pub fn parse(text: &str) -> Result<Self, VkeyError> {
        if text.len() > VKEY_BYTES_MAX {
            return Err(VkeyError::Malformed);
        }
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(VkeyError::Malformed);
        };
        let id = encoding::from_hex(id).ok_or(VkeyError::Malformed)?;
        let key = encoding::from_b64(key).ok_or(VkeyError::Malformed)?;
        let (byte, key) = key.split_first().ok_or(VkeyError::Malformed)?;
        if !valid_name(name) {
            return Err(VkeyError::BadName);
        }
        let kind = KeyKind::of(*byte);
        check_key(kind, key)?;
        if !matches!(kind, KeyKind::Unknown(_)) && id != key_id(name, kind, key) {
            return Err(VkeyError::WrongKeyId);
        }
        Ok(Self { name: name.to_owned(), key_id: id, kind, key: key.to_vec() })
    }

    /// Whether two keys are the same public key, whatever name and type they go under.
    pub fn same_key(&self, other: &Self) -> bool {
        self.key == other.key
    }

    /// Checks what follows the key id in a signature line over a note text.
    ///
    /// Gives the timestamp of a cosignature, None for a plain signature; Err where it does not hold.
    pub(crate) fn verify_payload(&self, text: &str, payload: &[u8]) -> Result<Option<u64>, BadSignature> {
        match self.kind {
            KeyKind::Ed25519 => self.ed25519(text.as_bytes(), payload).map(|()| None),
            KeyKind::CosignatureEd25519 => {
                let (timestamp, signature) = split_timestamp(payload)?;
                self.ed25519(cosignature_message(timestamp, text).as_bytes(), signature)?;
                // A cosignature is a statement about a checkpoint, so a text that is none carries no statement.
                Checkpoint::parse(text).map_err(|_| BadSignature)?;
                Ok(Some(timestamp))
            }
            KeyKind::CosignatureMlDsa44 => {
                let checkpoint = Checkpoint::parse(text).map_err(|_| BadSignature)?;
                let tree = CosignedSubtree::tree(&checkpoint);
                self.verify_subtree_payload(&tree, payload).map(Some)
            }
            KeyKind::Unknown(_) => Err(BadSignature),
        }
    }

    /// Checks an ML-DSA-44 cosignature of a tree or subtree and gives its timestamp.
    pub(crate) fn verify_subtree_payload(
        &self,
        subtree: &CosignedSubtree<'_>,
        payload: &[u8],
    ) -> Result<u64, BadSignature> {
        if self.kind != KeyKind::CosignatureMlDsa44 {
            return Err(BadSignature);
        }
        let (timestamp, signature) = split_timestamp(payload)?;
        // tlog-cosignature: start other than 0 requires timestamp 0.
        let message = subtree_message(&self.name, timestamp, subtree).ok_or(BadSignature)?;
        let signature = ml_dsa::Signature::try_from(signature).map_err(|_| BadSignature)?;
        // Pure ML-DSA with an empty context.
        let holds = with_ml_dsa_44(&self.key, |key| key.verify_with_context(&message, &[], &signature));
        if holds == Some(true) { Ok(timestamp) } else { Err(BadSignature) }
    }

    fn ed25519(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let key: [u8; 32] = self.key.as_slice().try_into().map_err(|_| BadSignature)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&key).map_err(|_| BadSignature)?;
        let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_| BadSignature)?;
        key.verify_strict(message, &signature).map_err(|_| BadSignature)
    }
}

/// Hands the decoded key over; None where it has another length.
///
/// The last one of a thread is kept: to expand a key takes as long as to verify by it, and logs of checkpoints are
/// verified by one key.
fn with_ml_dsa_44<T>(key: &[u8], verify: impl FnOnce(&ml_dsa::VerifyingKey<ml_dsa::MlDsa44>) -> T) -> Option<T> {
    type Decoded = (Vec<u8>, ml_dsa::VerifyingKey<ml_dsa::MlDsa44>);
    thread_local! {
        static LAST: RefCell<Option<Box<Decoded>>> = const { RefCell::new(None) };
    }
    LAST.with_borrow_mut(|last| {
        if last.as_ref().is_none_or(|last| last.0 != key) {
            let encoded = ml_dsa::EncodedVerifyingKey::<ml_dsa::MlDsa44>::try_from(key).ok()?;
            *last = Some(Box::new((key.to_vec(), ml_dsa::VerifyingKey::decode(&encoded))));
        }
        last.as_ref().map(|last| verify(&last.1))
    })
}

impl fmt::Display for Vkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = Vec::with_capacity(self.key.len() + 1);
        key.push(self.kind.byte());
        key.extend_from_slice(&self.key);
        write!(f, "{}+{}+{}", self.name, encoding::hex(&self.key_id), encoding::b64(&key))
    }
}

/// A signature that its key did not make.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BadSignature;

/// The u64be timestamp in front of a cosignature.
fn split_timestamp(payload: &[u8]) -> Result<(u64, &[u8]), BadSignature> {
    let (timestamp, signature) = payload.split_first_chunk::<8>().ok_or(BadSignature)?;
    let timestamp = u64::from_be_bytes(*timestamp);
    if timestamp <= TIMESTAMP_MAX { Ok((timestamp, signature)) } else { Err(BadSignature) }
}

fn key_id(name: &str, kind: KeyKind, key: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = sha256(&[name.as_bytes(), b"\n", &[kind.byte()], key]);
    [a, b, c, d]
}

fn check_key(kind: KeyKind, key: &[u8]) -> Result<(), VkeyError> {
    let good = match kind {
        KeyKind::Ed25519 | KeyKind::CosignatureEd25519 => {
            let point = <[u8; 32]>::try_from(key).ok().and_then(|k| ed25519_dalek::VerifyingKey::from_bytes(&k).ok());
            point.is_some_and(|p| !p.is_weak())
        }
        KeyKind::CosignatureMlDsa44 => key.len() == ML_DSA_44_KEY_BYTES,
        KeyKind::Unknown(_) => !key.is_empty(),
    };
    if good { Ok(()) } else { Err(VkeyError::BadKey) }
}
