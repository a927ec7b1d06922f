//! A body's bytes, plain or sealed: salt, event, seals. Hostile input: one spelling, strict limits, a refusal that
//! names the place. Opens nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::cut::{MARKER_DEPTH, marker, markers, small_number};
use super::{
    BODY_BYTES_MAX, CONTENTS_BYTES_MAX, Commitment, MARKER, PLACES_MAX, Pointer, SLOTS_MAX, bucket, refuse, start_of,
};
use crate::Rejected;
use crate::limits::DEPTH_MAX;
use crate::tape::{Mode, Node, Sort, Tape, parse_to};

/// Bytes of the authentication tag behind the ciphertext.
pub(crate) const TAG_BYTES: usize = 16;
const NAMES: [&str; 5] = ["slot", "key_id", "nonce", "key_commitment", "ct"];

/// One seal: the ciphertext for one slot. Its slot is its place in the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealPart {
    /// Random name of the data key.
    pub key_id: [u8; 16],
    /// Nonce of the cipher.
    pub nonce: [u8; 12],
    /// Says which key alone opens it; checked before opening.
    pub key_commitment: [u8; 32],
    /// Ciphertext and tag; without the tag exactly a bucket ([`bucket`]).
    pub ct: Vec<u8>,
}

/// A place whose value was cut out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedPlace {
    /// Where it stands.
    pub path: Pointer,
    /// Which seal holds the value.
    pub slot: usize,
    /// What the value must agree with.
    pub commitment: Commitment,
}

/// A body that was read.
#[derive(Debug)]
pub struct Body<'a> {
    /// Random bytes that make the digest of the body hide it.
    pub salt: [u8; 16],
    /// The event, as its bytes stand in the body.
    pub event: &'a [u8],
    /// The seals by slot; none in a plain body.
    pub seals: Vec<SealPart>,
    /// The sealed places in the order of the event; none in a plain body, whatever its event holds.
    pub places: Vec<SealedPlace>,
}

/// Appends a body: `{"salt":..,"event":..}`, and `"seals":[..]` where there are any. The event is written as it is.
pub fn write_body(salt: &[u8; 16], event: &[u8], seals: &[SealPart], out: &mut Vec<u8>) {
    let text = |name: &str, bytes: &[u8], out: &mut Vec<u8>| {
        out.extend_from_slice(format!(",\"{name}\":\"{}\"", STANDARD.encode(bytes)).as_bytes());
    };
    out.extend_from_slice(format!("{{\"salt\":\"{}\",\"event\":", STANDARD.encode(salt)).as_bytes());
    out.extend_from_slice(event);
    for (slot, seal) in seals.iter().enumerate() {
        out.extend_from_slice(if slot == 0 { b",\"seals\":[" } else { b"," });
        out.extend_from_slice(format!("{{\"slot\":{slot}").as_bytes());
        text("key_id", &seal.key_id, out);
        text("nonce", &seal.nonce, out);
        text("key_commitment", &seal.key_commitment, out);
        text("ct", &seal.ct, out);
        out.push(b'}');
    }
    out.extend_from_slice(if seals.is_empty() { b"}" } else { b"]}" });
}

/// Reads a body.
///
/// Errors: `body_size`, `body_invalid`, `seal_invalid`, `marker_invalid`, `places_many`, and those of
/// [`crate::strict_json`]; each names the member.
pub fn parse_body(body: &[u8]) -> Result<Body<'_>, Rejected> {
    if body.len() > BODY_BYTES_MAX {
        return Err(refuse("body_size", "", "at most 32 MiB"));
    }
    let depth = DEPTH_MAX + 1 + MARKER_DEPTH;
    let tape = parse_to(body, Mode::Strict, depth).map_err(|fault| Rejected::of(body, fault))?;
    let invalid = |pointer, expected| refuse("body_invalid", pointer, expected);
    let whole = tape.node(0).is_some_and(|n| n.start == 0 && n.end as usize == body.len());
    if !whole || tape.spaced {
        return Err(invalid("", "a JSON object without white space between its tokens"));
    }
    let members: Vec<(Node, u32)> = tape.members(0).take(4).collect();
    let names: Vec<&[u8]> = members.iter().map(|(key, _)| tape.inner(*key)).collect();
    let sealed = match names.as_slice() {
        [b"salt", b"event"] => false,
        [b"salt", b"event", b"seals"] => true,
        _ => return Err(invalid("", "the members salt, event and, where values are sealed, seals, in this order")),
    };
    let value = |n: usize| members.get(n).map_or(0, |(_, value)| *value);
    let salt = fixed(&tape, value(0)).ok_or_else(|| invalid("/salt", "16 bytes in base64"))?;
    let event = tape.node(value(1)).filter(|node| node.sort == Sort::Object);
    let event = event.ok_or_else(|| invalid("/event", "an object"))?;
    let mut out = Body { salt, event: tape.bytes(event), seals: Vec::new(), places: Vec::new() };
    if !sealed {
        return Ok(out);
    }
    let list = tape.node(value(2)).is_some_and(|node| node.sort == Sort::List);
    let count = tape.items(value(2)).take(SLOTS_MAX + 1).count();
    if !list || count == 0 || count > SLOTS_MAX {
        return Err(refuse("seal_invalid", "/seals", "a list of 1 to 32 seals"));
    }
    for (slot, (_, number)) in tape.items(value(2)).enumerate() {
        out.seals.push(seal(&tape, number, slot)?);
    }
    out.places = places(&tape, value(1), count)?.into_iter().map(|(place, _)| place).collect();
    if let Some(idle) = (0..count).find(|slot| out.places.iter().all(|place| place.slot != *slot)) {
        return Err(refuse("seal_invalid", &format!("/seals/{idle}"), "a sealed place in the event for each seal"));
    }
    Ok(out)
}

fn seal(tape: &Tape<'_>, number: u32, slot: usize) -> Result<SealPart, Rejected> {
    let invalid = |name: &str, expected| refuse("seal_invalid", &format!("/seals/{slot}{name}"), expected);
    let members: Vec<(Node, u32)> = tape.members(number).take(NAMES.len() + 1).collect();
    if !members.iter().map(|(key, _)| tape.inner(*key)).eq(NAMES.iter().map(|name| name.as_bytes())) {
        return Err(invalid("", "the members slot, key_id, nonce, key_commitment and ct, in this order"));
    }
    let value = |n: usize| members.get(n).map_or(0, |(_, value)| *value);
    if tape.node(value(0)).and_then(|node| small_number(tape, node)) != Some(slot) {
        return Err(invalid("/slot", "the seal's place in the list"));
    }
    let key_id = fixed(tape, value(1)).ok_or_else(|| invalid("/key_id", "16 bytes in base64"))?;
    let nonce = fixed(tape, value(2)).ok_or_else(|| invalid("/nonce", "12 bytes in base64"))?;
    let key_commitment = fixed(tape, value(3)).ok_or_else(|| invalid("/key_commitment", "32 bytes in base64"))?;
    let wrong = || invalid("/ct", "in base64, the bytes of one bucket and its tag, at most about 8 MiB");
    let text = tape.node(value(4)).filter(|node| node.sort == Sort::Text).map(|node| tape.inner(node));
    let most = (bucket(CONTENTS_BYTES_MAX + 1) + TAG_BYTES).div_ceil(3) * 4;
    let text = text.filter(|text| text.len() <= most).ok_or_else(wrong)?;
    let ct = STANDARD.decode(text).map_err(|_| wrong())?;
    let padded = ct.len().checked_sub(TAG_BYTES).ok_or_else(wrong)?;
    if bucket(padded) != padded {
        return Err(wrong());
    }
    Ok(SealPart { key_id, nonce, key_commitment, ct })
}

/// Exactly that many bytes, in the one spelling that base64 has for them.
fn fixed<const N: usize>(tape: &Tape<'_>, number: u32) -> Option<[u8; N]> {
    let node = tape.node(number).filter(|node| node.sort == Sort::Text)?;
    STANDARD.decode(tape.inner(node)).ok()?.try_into().ok()
}

/// Every marker of an event below a node, with its place in the text.
pub(crate) fn places(tape: &Tape<'_>, event: u32, slots: usize) -> Result<Vec<(SealedPlace, Node)>, Rejected> {
    let mut out = Vec::new();
    markers(tape, event, &[], &mut |path, number| {
        if out.len() >= PLACES_MAX {
            return Err(refuse("places_many", "", "at most 1024 sealed places"));
        }
        let expected = format!("{{\"{MARKER}\":[slot,\"32 bytes in base64\"]}}, its slot that of a seal");
        let invalid = || refuse("marker_invalid", start_of(path), &expected);
        let node = tape.node(number).ok_or_else(invalid)?;
        let (slot, commitment) = marker(tape, number).filter(|(slot, _)| *slot < slots).ok_or_else(invalid)?;
        out.push((SealedPlace { path: Pointer::parse(path)?, slot, commitment }, node));
        Ok(())
    })?;
    Ok(out)
}
