//! Sealed bodies: values cut out of an event, a commitment left in the place of each, and all of it put back.
//!
//! Format: docs/formats/sealed-body.md. Pure: seeds are handed in, and what encrypts stands in the vault. It decides
//! nothing: which places are sealed for whom is its caller's. No part of the product writes such bodies yet.

mod body;
mod commit;
mod contents;
mod cut;
mod pad;
mod pointer;

pub use body::{Body, SealPart, SealedPlace, parse_body, write_body};
pub use commit::{Commitment, Salt, Seed};
pub use contents::Contents;
pub use cut::{Cut, Restored, cut, reserved, restore};
pub use pad::{bucket, pad, unpad};
pub use pointer::Pointer;

use crate::{Rejected, terminal_safe};

/// Slots of one body: 16 subjects, and as many shared ones.
pub const SLOTS_MAX: usize = 32;
/// Sealed places of one body; an event of our envelope has at most about 350.
pub const PLACES_MAX: usize = 1_024;
/// Bytes of the path of a sealed place: a longer one is sealed with what holds it.
pub const POINTER_BYTES_MAX: usize = 1_024;
/// Bytes of a seal's plaintext before compression: an event and its original, each of 1 MiB, however escaped.
pub const CONTENTS_BYTES_MAX: usize = 8 << 20;
/// Bytes of a body: bounds what a reader takes in.
pub const BODY_BYTES_MAX: usize = 32 << 20;
/// Name of the member that stands in the place of a sealed value.
pub const MARKER: &str = "$sealed";
/// The one place whose committed value is raw bytes and not JSON.
pub const RAW: &str = "/original/raw";

/// As much of a path as an error repeats.
pub(crate) fn start_of(path: &str) -> &str {
    path.get(..path.floor_char_boundary(64)).unwrap_or_default()
}

pub(crate) fn refuse(code: &'static str, pointer: &str, expected: &str) -> Rejected {
    Rejected::at(code, &terminal_safe(pointer), None, expected)
}
