//! Entry bundles of tlog-tiles and files of bodies, as bytes. Compresses nothing.

use crate::limits::{ENTRY_BYTES_MAX, TILE_WIDTH};

/// Why bytes are no bundle, or entries cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// An entry's length does not fit its prefix.
    #[error("entry {at} of the bundle is too long to be written")]
    TooLong {
        /// Number of the entry in the bundle.
        at: usize,
    },
    /// The bytes end within an entry.
    #[error("the bundle ends within its entry {at}")]
    Torn {
        /// Number of the entry in the bundle.
        at: usize,
    },
    /// A bundle holds 256 entries at most.
    #[error("the bundle has more than 256 entries")]
    TooMany,
}

/// How a file of bodies writes an absent body, instead of a length.
const ABSENT: u32 = u32::MAX;

/// Appends `u16be length || entry` to a bundle; false, and nothing appended, where the entry is longer than 65,535.
pub fn push_entry(out: &mut Vec<u8>, entry: &[u8]) -> bool {
    let Ok(length) = u16::try_from(entry.len()) else { return false };
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(entry);
    true
}

/// The bundle of these entries.
///
/// # Errors
/// `TooLong`; `TooMany` beyond 256.
pub fn encode_bundle<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, BundleError> {
    let mut out = Vec::new();
    for (at, entry) in entries.into_iter().enumerate() {
        if at >= usize::from(TILE_WIDTH) {
            return Err(BundleError::TooMany);
        }
        if !push_entry(&mut out, entry) {
            return Err(BundleError::TooLong { at });
        }
    }
    Ok(out)
}

/// The entries of a bundle, in order.
///
/// # Errors
/// `Torn`; `TooMany` beyond 256.
pub fn decode_bundle(bundle: &[u8]) -> Result<Vec<&[u8]>, BundleError> {
    let mut entries = Vec::new();
    let mut rest = bundle;
    while !rest.is_empty() {
        let at = entries.len();
        if at >= usize::from(TILE_WIDTH) {
            return Err(BundleError::TooMany);
        }
        let (entry, after) = split_entry(rest).ok_or(BundleError::Torn { at })?;
        entries.push(entry);
        rest = after;
    }
    Ok(entries)
}

/// The first `u16be length || entry` of these bytes and what follows it.
pub(crate) fn split_entry(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// Appends `u32be length || body` to a file of bodies, or the mark of an absent one; false, and nothing appended,
/// where the body is too long for its prefix.
pub fn push_body(out: &mut Vec<u8>, body: Option<&[u8]>) -> bool {
    let length = match body.map(|b| u32::try_from(b.len())) {
        None => ABSENT,
        Some(Ok(length)) if length != ABSENT => length,
        Some(_) => return false,
    };
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(body.unwrap_or_default());
    true
}

/// The bodies of a file of bodies, in order; None where one is absent.
///
/// # Errors
/// `Torn`; `TooMany` beyond 256.
pub fn decode_bodies(bytes: &[u8]) -> Result<Vec<Option<&[u8]>>, BundleError> {
    let mut bodies = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let torn = BundleError::Torn { at: bodies.len() };
        if bodies.len() >= usize::from(TILE_WIDTH) {
            return Err(BundleError::TooMany);
        }
        let (length, after) = rest.split_first_chunk::<4>().ok_or(torn)?;
        let length = u32::from_be_bytes(*length);
        if length == ABSENT {
            bodies.push(None);
            rest = after;
        } else {
            let length = usize::try_from(length).map_err(|_| torn)?;
            let (body, after) = after.split_at_checked(length).ok_or(torn)?;
            bodies.push(Some(body));
            rest = after;
        }
    }
    Ok(bodies)
}

const _: () = assert!(ENTRY_BYTES_MAX == u16::MAX as usize, "the length prefix is the limit");

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    #[test]
    fn bundles_come_back_as_written() {
        let longest = vec![7; ENTRY_BYTES_MAX];
        let entries: [&[u8]; 4] = [b"leaf-0", b"", b"leaf-2", &longest];
        let bundle = encode_bundle(entries).unwrap();
        assert_eq!(bundle.len(), 8 + 6 + 6 + ENTRY_BYTES_MAX);
        assert_eq!(decode_bundle(&bundle).unwrap(), entries);
        assert_eq!(decode_bundle(b""), Ok(Vec::new()));
    }

    #[test]
    fn bad_bundles_are_refused() {
        let too_long = vec![7; ENTRY_BYTES_MAX + 1];
        assert_eq!(encode_bundle([&b"a"[..], &too_long]), Err(BundleError::TooLong { at: 1 }));
        assert_eq!(encode_bundle([&b""[..]; 257]), Err(BundleError::TooMany));
        assert_eq!(decode_bundle(&[0; 257 * 2]), Err(BundleError::TooMany));
        assert_eq!(decode_bundle(&[0; 256 * 2]).unwrap().len(), 256);
        assert_eq!(decode_bundle(&[0]), Err(BundleError::Torn { at: 0 }));
        assert_eq!(decode_bundle(&[0, 1, b'a', 0, 2, b'b']), Err(BundleError::Torn { at: 1 }));
    }

    #[test]
    fn bodies_come_back_as_written() {
        let mut file = Vec::new();
        for body in [Some(&b"{}"[..]), None, Some(b"")] {
            assert!(push_body(&mut file, body));
        }
        assert_eq!(file, [0, 0, 0, 2, b'{', b'}', 255, 255, 255, 255, 0, 0, 0, 0]);
        assert_eq!(decode_bodies(&file).unwrap(), [Some(&b"{}"[..]), None, Some(b"")]);
        assert_eq!(decode_bodies(&file[..5]), Err(BundleError::Torn { at: 0 }));
        assert_eq!(decode_bodies(&file[..7]), Err(BundleError::Torn { at: 1 }));
        assert_eq!(decode_bodies(&[255, 255, 255, 254, 1]), Err(BundleError::Torn { at: 0 }));
        assert_eq!(decode_bodies(&[255; 257 * 4]), Err(BundleError::TooMany));
    }
}
