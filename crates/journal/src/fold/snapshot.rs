//! Snapshots of folds in `views/` (docs/formats/views.md): a way to start sooner, never a source of truth.
//!
//! Makes and judges bytes; reads and writes no file.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tlog::Hash;

use crate::rules::hex;

/// Which snapshot of which ledger; bound by the MAC, so that none can stand in for another.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a> {
    /// Folder name of the ledger.
    pub ledger: &'a str,
    /// `control` or `gaps`.
    pub name: &'a str,
}

/// HMAC over the concatenated parts, under the vault's key for `views/`.
pub type Mac<'a> = &'a dyn Fn(&[&[u8]]) -> [u8; 32];

/// The bytes of a snapshot: the state after `size` entries of the log with that root.
pub fn encode<T: Serialize>(name: Name<'_>, size: u64, root: &Hash, state: &T, mac: Mac<'_>) -> Option<String> {
    let line = Line { format: FORMAT.into(), name: name.name.into(), size, root: root.b64(), state };
    let line = serde_json::to_string(&line).ok()?;
    let tag = hex(&tag(name, &line, mac));
    Some(format!("{line}\n{tag}\n"))
}

/// Size and state of a snapshot, if its MAC holds and the log has that root at that size; else `None`: fold anew.
pub fn decode<T: DeserializeOwned>(
    name: Name<'_>,
    bytes: &[u8],
    mac: Mac<'_>,
    root_at: &dyn Fn(u64) -> Option<Hash>,
) -> Option<(u64, T)> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let (line, found) = text.split_once('\n')?;
    let expected = hex(&tag(name, line, mac));
    aws_lc_rs::constant_time::verify_slices_are_equal(expected.as_bytes(), found.as_bytes()).ok()?;
    let line: Line<T> = serde_json::from_str(line).ok()?;
    if line.format != FORMAT || line.name != name.name {
        return None;
    }
    (root_at(line.size)?.b64() == line.root).then_some((line.size, line.state))
}

const FORMAT: &str = "proofbook-snapshot/1";

#[derive(Serialize, serde::Deserialize)]
struct Line<T> {
    format: String,
    name: String,
    size: u64,
    root: String,
    state: T,
}

fn tag(name: Name<'_>, line: &str, mac: Mac<'_>) -> [u8; 32] {
    mac(&[b"proofbook/views/v1", name.ledger.as_bytes(), name.name.as_bytes(), b".snapshot", line.as_bytes()])
}
