//! Padding to buckets, so that the size of a ciphertext tells little of what it holds. Compresses nothing.

use super::refuse;
use crate::Rejected;

/// Bytes of the length in front.
const LENGTH_BYTES: usize = 4;
/// The smallest bucket.
const BUCKET_MIN: usize = 256;
/// Up to here buckets double; above it there are eight to a doubling, at least this far apart.
const DOUBLING_UP_TO: usize = 4_096;

/// Size of the smallest bucket for that many bytes: 256, 512, 1,024, 2,048, 4,096, then an eighth of the power of two
/// below, at least 4,096, apart.
pub fn bucket(bytes: usize) -> usize {
    if bytes <= DOUBLING_UP_TO {
        return bytes.next_power_of_two().max(BUCKET_MIN);
    }
    let apart = ((1_usize << bytes.ilog2()) / 8).max(DOUBLING_UP_TO);
    bytes.checked_next_multiple_of(apart).unwrap_or(usize::MAX)
}

/// Length (u32, big-endian), data, zeros up to the bucket.
///
/// Errors: `pad_size` for 4 GiB and more.
pub fn pad(data: &[u8]) -> Result<Vec<u8>, Rejected> {
    let length = u32::try_from(data.len()).map_err(|_| refuse("pad_size", "", "less than 4 GiB"))?;
    let mut out = Vec::with_capacity(bucket(LENGTH_BYTES + data.len()));
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(data);
    out.resize(bucket(out.len()), 0);
    Ok(out)
}

/// The data inside.
///
/// Errors: `pad_invalid` unless these are exactly the bytes that [`pad`] makes.
pub fn unpad(padded: &[u8]) -> Result<&[u8], Rejected> {
    let wrong = |expected| refuse("pad_invalid", "", expected);
    let (length, rest) = padded.split_first_chunk::<LENGTH_BYTES>().ok_or_else(|| wrong("a length in front"))?;
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    let (data, zeros) = rest.split_at_checked(length).ok_or_else(|| wrong("a length within the padded bytes"))?;
    if bucket(LENGTH_BYTES + length) != padded.len() {
        return Err(wrong("the smallest bucket that holds the data"));
    }
    if zeros.iter().any(|byte| *byte != 0) {
        return Err(wrong("zeros behind the data"));
    }
    Ok(data)
}
