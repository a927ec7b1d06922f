//! placeholder
use super::{Draft, readable, sized};
use crate::prepared::{Original, Prepared};
use crate::{Context, Rejected};
/// x
pub fn syslog<'a>(raw: &'a [u8], ctx: &Context<'a>) -> Result<Prepared<'a>, Rejected> {
    sized(raw)?;
    let mut draft = Draft::new();
    draft.action = "syslog.message".to_owned();
    draft.message = Some(readable(raw));
    Ok(draft.finish(raw, Original { format: "syslog", media_type: "text/plain" }, ctx))
}
