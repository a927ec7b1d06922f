//! Paths of sealed places: JSON pointers (RFC 6901) of bounded length. Names of members are hostile input.

use std::borrow::Cow;

use super::{POINTER_BYTES_MAX, refuse, start_of};
use crate::Rejected;
use crate::tape::{Sort, Tape};

/// A pointer to one value below the root, 1 to [`POINTER_BYTES_MAX`] bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Pointer(String);

impl Pointer {
    /// Reads a pointer as it is written in JSON strings, not in URIs.
    ///
    /// Errors: `pointer_invalid` where it does not begin with `/`, where a `~` has neither 0 nor 1 behind it, and where
    /// it is too long.
    pub fn parse(text: &str) -> Result<Self, Rejected> {
        let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        if !text.starts_with('/') || !escapes || text.len() > POINTER_BYTES_MAX {
            return Err(refuse("pointer_invalid", start_of(text), "a JSON pointer of 1 to 1024 bytes below the root"));
        }
        Ok(Self(text.to_owned()))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Number of the node it leads to.
    pub(crate) fn resolve(&self, tape: &Tape<'_>, root: u32) -> Option<u32> {
        self.0.split('/').skip(1).try_fold(root, |at, step| match tape.node(at)?.sort {
            Sort::Object if step.contains('~') => tape.get(at, &unescape(step)),
            Sort::Object => tape.get(at, step),
            Sort::List => tape.items(at).nth(index(step)?).map(|(_, item)| item),
            _ => None,
        })
    }
}

impl std::fmt::Display for Pointer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// `~01` is `~1` and never `/`: the order of the two matters.
fn unescape(step: &str) -> Cow<'_, str> {
    Cow::Owned(step.replace("~1", "/").replace("~0", "~"))
}

/// A place in a list: digits, no leading zero; one spelling for each.
fn index(step: &str) -> Option<usize> {
    let digits = !step.is_empty() && step.bytes().all(|b| b.is_ascii_digit());
    if !digits || (step.len() > 1 && step.starts_with('0')) {
        return None;
    }
    step.parse().ok()
}

/// Appends a step, whole: a cut name would lead elsewhere.
pub(crate) fn push_step(path: &mut String, name: &str) {
    path.push('/');
    for c in name.chars() {
        match c {
            '~' => path.push_str("~0"),
            '/' => path.push_str("~1"),
            other => path.push(other),
        }
    }
}
