//! Any line of text: one entry a physical line, whatever it holds. It reads nothing out of it.

use super::{Draft, readable, sized};
use crate::prepared::{Original, Prepared};
use crate::{Context, Rejected};

/// Maps one physical line, its line feed left out, all other bytes kept.
///
/// Errors: `event_size` alone.
pub fn text<'a>(raw: &'a [u8], ctx: &Context<'a>) -> Result<Prepared<'a>, Rejected> {
    sized(raw)?;
    let mut draft = Draft::new();
    draft.action = "text.line".to_owned();
    draft.message = Some(readable(raw));
    Ok(draft.finish(raw, Original { format: "text", media_type: "text/plain" }, ctx))
}
