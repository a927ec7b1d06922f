//! Keys for tests, made from one byte. Never for a log that anybody relies on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ed25519_dalek::Signer as _;
use ml_dsa::{KeyExport as _, Keypair as _};
use sha2::{Digest as _, Sha256};
use tlog::{CheckpointSigner, Hash};

/// The Ed25519 key of a seed.
pub fn ed25519(seed: u8) -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[seed; 32])
}

/// Public bytes and signing closure of the ML-DSA-44 key of a seed (deterministic signatures).
pub fn ml_dsa_44(seed: u8) -> (Vec<u8>, tlog::cosignature::Sign) {
    let key = ml_dsa::SigningKey::<ml_dsa::MlDsa44>::from_seed(&ml_dsa::Seed::from([seed; 32]));
    let public = key.verifying_key().to_bytes().to_vec();
    let sign = move |message: &[u8]| match key.expanded_key().sign_deterministic(message, &[]) {
        Ok(signature) => signature.encode().to_vec(),
        Err(_) => Vec::new(),
    };
    (public, Arc::new(sign))
}

/// A signer of checkpoints whose keys anybody can make again.
pub fn signer(origin: &str, seed: u8) -> CheckpointSigner {
    let key = ed25519(seed);
    let public = key.verifying_key().to_bytes();
    let (ml_dsa_public, ml_dsa_sign) = ml_dsa_44(seed);
    let sign = Arc::new(move |message: &[u8]| key.sign(message).to_bytes());
    match CheckpointSigner::new(origin, public, &ml_dsa_public, sign, ml_dsa_sign) {
        Ok(signer) => signer,
        Err(error) => panic!("a test named an origin that is none: {error}"),
    }
}

/// A cheap signer that remembers all it ever signed: two roots for one size are the worst a log can do.
///
/// Its notes have the text of a checkpoint and one line with a digest in place of signatures, so loops of thousands of
/// crashes do not spend their time on signatures.
#[derive(Debug, Default)]
pub struct Recorder {
    signed: Mutex<BTreeMap<(String, u64), Hash>>,
    forks: Mutex<Vec<String>>,
}

impl Recorder {
    /// One that has signed nothing.
    pub fn new() -> Arc<Recorder> {
        Arc::default()
    }

    /// Every size it signed for an origin, with the root.
    pub fn signed(&self, origin: &str) -> Vec<(u64, Hash)> {
        let signed = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        signed.iter().filter(|((of, _), _)| of == origin).map(|((_, size), root)| (*size, *root)).collect()
    }

    /// Sizes that it was made to sign with two different roots.
    pub fn forks(&self) -> Vec<String> {
        self.forks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn line(text: &str) -> String {
        let digest: String = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("\n\u{2014} recorder {digest}\n")
    }
}

impl ledger::Signer for Recorder {
    fn sign(&self, origin: &str, size: u64, root: &Hash, _unix_seconds: u64) -> String {
        let mut signed = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        let before = signed.insert((origin.to_owned(), size), *root);
        if before.is_some_and(|before| before != *root) {
            let fork = format!("{origin}: two roots for size {size}");
            self.forks.lock().unwrap_or_else(PoisonError::into_inner).push(fork);
        }
        let text = format!("{origin}\n{size}\n{}\n", root.b64());
        let line = Self::line(&text);
        text + &line
    }

    fn check(&self, origin: &str, note: &[u8]) -> Option<(u64, Hash)> {
        let note = std::str::from_utf8(note).ok()?;
        let mut lines = note.lines();
        let (of, size, root) = (lines.next()?, lines.next()?.parse().ok()?, Hash::from_b64(lines.next()?)?);
        let text = format!("{of}\n{size}\n{}\n", root.b64());
        (of == origin && note == format!("{text}{}", Self::line(&text))).then_some((size, root))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::Signer as _;
    use tlog::{Checkpoint, verify_checkpoint};

    #[test]
    fn the_recorder_sees_a_fork() {
        let recorder = Recorder::new();
        let note = recorder.sign("o", 3, &Hash([1; 32]), 0);
        assert_eq!(recorder.check("o", note.as_bytes()), Some((3, Hash([1; 32]))));
        assert_eq!(recorder.check("p", note.as_bytes()), None);
        assert_eq!(recorder.check("o", note.replace("\n3\n", "\n4\n").as_bytes()), None);
        recorder.sign("o", 3, &Hash([1; 32]), 9);
        assert!(recorder.forks().is_empty());
        recorder.sign("o", 3, &Hash([2; 32]), 0);
        assert_eq!(recorder.forks().len(), 1);
    }

    #[test]
    fn what_it_signs_verifies() {
        let signer = signer("test.example/logs/main", 3);
        let checkpoint = Checkpoint { origin: signer.origin().to_owned(), size: 0, root: Hash::EMPTY_ROOT };
        let note = signer.sign(&checkpoint, 1);
        assert!(verify_checkpoint(note.as_bytes(), &signer.vkeys(), Some(signer.origin())).is_ok());
        let other = super::signer("test.example/logs/main", 4);
        assert!(verify_checkpoint(note.as_bytes(), &other.vkeys(), None).is_err());
    }
}
