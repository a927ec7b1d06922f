//! The file `LEDGER`: one line of JSON in exactly one form (docs/formats/data-folder.md).
//!
//! Writes and reads just that form; it is no JSON parser.

use std::path::Path;

use crate::durable::Disk;
use crate::error::{Corrupt, OpenError};
use crate::folder::read_file;
use crate::frame::{Digest, sha256};
use crate::types::{About, Kind};

pub(crate) const LEDGER_BYTES_MAX: u64 = 4096;
const HEAD: &str = "{\"format\":\"proofbook-ledger/1\"";

/// The line, with its LF.
pub(crate) fn encode(about: &About) -> Result<String, OpenError> {
    let fields = [&about.name, &about.tenant, &about.origin, &about.created_at, &about.ulid];
    // No field needs an escape: so there is one spelling, and the reader needs no JSON parser.
    let plain = |s: &String| {
        !s.is_empty() && s.len() <= 512 && s.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
    };
    if !fields.into_iter().all(plain) || about.ulid.contains(['/', '.']) {
        return Err(OpenError::Refused("a ledger's name, tenant, origin and folder are plain ASCII without blanks"));
    }
    let kind = match about.kind {
        Kind::Audit => "audit",
        Kind::Raw => "raw",
    };
    Ok(format!(
        "{HEAD},\"name\":\"{}\",\"tenant\":\"{}\",\"kind\":\"{kind}\",\"origin\":\"{}\",\"created_at\":\"{}\"}}\n",
        about.name, about.tenant, about.origin, about.created_at
    ))
}

/// Reads `ledgers/<ulid>/LEDGER` and gives its digest with it.
pub(crate) fn read(disk: &dyn Disk, ledgers: &Path, ulid: &str) -> Result<(About, Digest), OpenError> {
    let path = ledgers.join(ulid).join("LEDGER");
    let bytes = read_file(disk, &path, LEDGER_BYTES_MAX)?;
    let about = std::str::from_utf8(&bytes).ok().and_then(|text| decode(text, ulid));
    match about {
        // Whatever does not give the same bytes again was not written by us.
        Some(about) if encode(&about).is_ok_and(|text| text.as_bytes() == bytes) => Ok((about, sha256(&[&bytes]))),
        _ => Err(Corrupt::at(&path, 0, None, "LEDGER is not in its one form").into()),
    }
}

pub(crate) fn decode(text: &str, ulid: &str) -> Option<About> {
    let mut rest = text.strip_prefix(HEAD)?;
    let mut field = |name: &str| -> Option<String> {
        let after = rest.strip_prefix(",\"")?.strip_prefix(name)?.strip_prefix("\":\"")?;
        let (value, after) = after.split_once('"')?;
        rest = after;
        Some(value.to_owned())
    };
    let (name, tenant, kind) = (field("name")?, field("tenant")?, field("kind")?);
    let (origin, created_at) = (field("origin")?, field("created_at")?);
    let kind = match kind.as_str() {
        "audit" => Kind::Audit,
        "raw" => Kind::Raw,
        _ => return None,
    };
    Some(About { ulid: ulid.to_owned(), name, tenant, kind, origin, created_at })
}
