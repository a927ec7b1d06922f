//! The two signing keys of one ledger.
//!
//! Signs bytes; what they mean is said by the caller.

use std::sync::Arc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, ML_DSA_44_SIGNING, PqdsaKeyPair};

use crate::error::Error;
use crate::store::Key;

/// Bytes of an ML-DSA-44 signature (FIPS 204, table 2).
const MLDSA44_SIGNATURE_BYTES: usize = 2_420;

/// Public halves, and signatures by the private ones; clones share them. Has no Debug: it holds keys.
#[derive(Clone)]
pub struct LedgerKeys {
    /// Public key, RFC 8032.
    pub ed25519_public: [u8; 32],
    /// Public key, FIPS 204, 1,312 bytes.
    pub mldsa44_public: Vec<u8>,
    ed25519: Arc<Ed25519KeyPair>,
    mldsa44: Arc<PqdsaKeyPair>,
}

impl LedgerKeys {
    pub(crate) fn new(ed25519: &Key, mldsa44: &Key) -> Result<LedgerKeys, Error> {
        let refused = |_| Error::Refused("the library takes no such seed");
        let ed25519 = Ed25519KeyPair::from_seed_unchecked(ed25519.bytes()).map_err(refused)?;
        let mldsa44 = PqdsaKeyPair::from_seed(&ML_DSA_44_SIGNING, mldsa44.bytes()).map_err(refused)?;
        let mut ed25519_public = [0; 32];
        ed25519_public.copy_from_slice(ed25519.public_key().as_ref());
        let mldsa44_public = mldsa44.public_key().as_ref().to_vec();
        Ok(LedgerKeys { ed25519_public, mldsa44_public, ed25519: Arc::new(ed25519), mldsa44: Arc::new(mldsa44) })
    }

    /// Ed25519 signature: always the same for the same bytes.
    pub fn sign_ed25519(&self, message: &[u8]) -> [u8; 64] {
        let mut out = [0; 64];
        out.copy_from_slice(self.ed25519.sign(message).as_ref());
        out
    }

    /// ML-DSA-44 signature with an empty context. Hedged: the library mixes in randomness of its own, so two
    /// signatures of the same bytes differ and both verify. Empty if the library fails, which no verifier accepts.
    pub fn sign_mldsa44(&self, message: &[u8]) -> Vec<u8> {
        let mut out = vec![0; MLDSA44_SIGNATURE_BYTES];
        match self.mldsa44.sign(message, &mut out) {
            Ok(bytes) => out.truncate(bytes),
            Err(_) => out.clear(),
        }
        out
    }
}
