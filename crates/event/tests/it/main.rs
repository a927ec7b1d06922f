//! Room tests of `event`: through its door only.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod hostile;
mod jcs;
mod leaf;
mod mapped;
mod native;
mod real;
mod seal;

use event::{Context, Format, Prepared, Rejected};

/// 2026-11-24T02:29:42Z.
pub(crate) const ARRIVAL: u64 = 1_795_487_382_000_000_000;

pub(crate) fn make_id() -> String {
    "01JD0000000000000000000000".to_owned()
}

pub(crate) fn context() -> Context<'static> {
    Context {
        default_source: "urn:example:app",
        tenant: "default",
        ledger: "main",
        arrival: ARRIVAL,
        place: None,
        make_id: &make_id,
        ingest: None,
    }
}

pub(crate) fn prepare(format: Format, raw: &[u8]) -> Result<Prepared<'_>, Rejected> {
    event::prepare(format, raw, &context())
}

pub(crate) const SALT: &str = "AAAAAAAAAAAAAAAAAAAAAA==";

pub(crate) fn body(event: &Prepared<'_>) -> String {
    let mut out = Vec::new();
    event.write_body(SALT, &mut out);
    String::from_utf8(out).unwrap()
}
