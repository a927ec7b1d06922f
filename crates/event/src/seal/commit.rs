//! Seeds, salts and commitments: what stays of a value that was cut out.
//!
//! A commitment hides its value as long as the salt is unknown, also from one who can list all values; who has seed or
//! salt can test guesses. Encrypts nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::Pointer;

const SALT_INFO: &[u8] = b"proofbook/salt/v1";

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    // RFC 2104, section 2: a key shorter than a block is one block with zeros behind it.
    let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
    block.iter_mut().zip(key).for_each(|(slot, byte)| *slot = *byte);
    Hmac::new(&block)
}

/// The secret of one seal, 32 random bytes of one event and subject, ready to make salts. Has no Debug.
#[derive(Clone)]
pub struct Seed {
    extracted: Hmac<Sha256>,
}

impl Seed {
    /// HKDF-Extract (RFC 5869) with an empty salt.
    pub fn new(seed: &[u8; 32]) -> Self {
        let mut extract = keyed(&[0; 32]);
        extract.update(seed);
        Self { extracted: keyed(&extract.finalize().into_bytes().into()) }
    }

    /// HKDF-Expand to the 32 bytes of the salt of one path: one block, so one HMAC.
    pub fn salt(&self, path: &Pointer) -> Salt {
        let mut expand = self.extracted.clone();
        expand.update(SALT_INFO);
        expand.update(path.as_str().as_bytes());
        expand.update(&[1]);
        Salt(expand.finalize().into_bytes().into())
    }
}

/// The secret of one place. Given away together with path and value it discloses that place and no other. Has no Debug.
#[derive(Clone)]
pub struct Salt(pub [u8; 32]);

impl Salt {
    /// The commitment to a value at a path; for JSON the value is its canonical form ([`crate::canonical`]).
    pub fn commit(&self, path: &Pointer, value: &[u8]) -> Commitment {
        let path = path.as_str().as_bytes();
        // A pointer is at most 1,024 bytes long; a value of 4 GiB is more than any body holds.
        let path_length = u16::try_from(path.len()).unwrap_or(u16::MAX);
        let value_length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        let mut mac = keyed(&self.0);
        mac.update(&path_length.to_be_bytes());
        mac.update(path);
        mac.update(&value_length.to_be_bytes());
        mac.update(value);
        Commitment(mac.finalize().into_bytes().into())
    }

    /// Whether a revealed value is the one that was committed to.
    pub fn verify(&self, path: &Pointer, value: &[u8], commitment: &Commitment) -> bool {
        self.commit(path, value) == *commitment
    }
}

/// What stands in the place of a value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Commitment(pub [u8; 32]);

impl Commitment {
    /// The member that stands in the place of the value: `{"$sealed":[<slot>,"<b64>"]}`.
    pub(crate) fn push_marker(&self, slot: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{{\"{}\":[{slot},\"", super::MARKER).as_bytes());
        out.extend_from_slice(STANDARD.encode(self.0).as_bytes());
        out.extend_from_slice(b"\"]}");
    }
}
