//! Cuts values out of an event and puts them back. Everything outside the named places keeps its very bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::body::{SealedPlace, places};
use super::{Commitment, Contents, MARKER, PLACES_MAX, Pointer, RAW, SLOTS_MAX, Seed, refuse, start_of};
use crate::Rejected;
use crate::jcs::{push, strict};
use crate::limits::DEPTH_MAX;
use crate::tape::{Mode, Node, Sort, Tape, parse_to};

use super::pointer::push_step;

/// Levels that a marker may add to the deepest value it stands for.
pub(crate) const MARKER_DEPTH: usize = 2;
const ENCODING: &str = "/original/encoding";

/// An event without its sealed values, and what was in them.
pub struct Cut {
    /// The event, a marker in each sealed place.
    pub event: Vec<u8>,
    /// By slot: what to encrypt for its subject.
    pub contents: Vec<Contents>,
}

/// An event with the values of the opened slots in their places.
#[derive(Debug)]
pub struct Restored {
    /// The event; with all slots opened the very bytes that were cut.
    pub event: Vec<u8>,
    /// Places whose slot was not opened, in the order of the event; their markers still stand in it.
    pub withheld: Vec<SealedPlace>,
}

/// Cuts the value of each place out of an event; the number beside a place is its slot, `seeds` has one seed a slot.
///
/// The event is one JSON object, a body's event and not a body. Errors: those of [`crate::strict_json`];
/// `pointer_invalid` (a place that the event lacks), `place_nested` (a place within another, or twice), `place_refused`
/// (`/original/encoding`, or a raw original that is no text), `slot_invalid` (a slot without seed or place),
/// `places_many`, `marker_reserved` (a member `$sealed` of the event's own outside the places: see [`reserved`]).
pub fn cut(event: &[u8], sealed: &[(Pointer, usize)], seeds: &[[u8; 32]]) -> Result<Cut, Rejected> {
    let tape = object(event, DEPTH_MAX)?;
    if sealed.len() > PLACES_MAX {
        return Err(refuse("places_many", "", "at most 1024 sealed places"));
    }
    let used = |slot: usize| sealed.iter().any(|(_, of)| *of == slot);
    if seeds.len() > SLOTS_MAX || !(0..seeds.len()).all(used) || sealed.iter().any(|(_, of)| *of >= seeds.len()) {
        return Err(refuse("slot_invalid", "", "slots from 0 on, at most 32, each with a seed and a place"));
    }
    let mut found = Vec::with_capacity(sealed.len());
    for (path, slot) in sealed {
        let number = path.resolve(&tape, 0);
        let at = number.and_then(|number| Some((number, tape.node(number)?)));
        let (number, node) = at.ok_or_else(|| refuse("pointer_invalid", path.as_str(), "a place of the event"))?;
        found.push((node, number, path, *slot));
    }
    found.sort_by_key(|(node, ..)| node.start);
    for pair in found.windows(2) {
        if let [(first, ..), (second, _, path, _)] = pair
            && second.start < first.end
        {
            return Err(refuse("place_nested", path.as_str(), "places that do not lie within one another"));
        }
    }
    let ranges: Vec<Node> = found.iter().map(|(node, ..)| *node).collect();
    markers(&tape, 0, &ranges, &mut |path, _| {
        Err(refuse("marker_reserved", start_of(path), "no member of the name `$sealed` outside sealed places"))
    })?;
    let encoding = encoding(&tape, 0);
    let mut out = Cut { event: Vec::with_capacity(event.len()), contents: Vec::new() };
    out.contents.extend(seeds.iter().map(|seed| Contents::new(*seed)));
    let salts: Vec<Seed> = seeds.iter().map(Seed::new).collect();
    let mut done = 0;
    for (node, number, path, slot) in found {
        let value = committed(&tape, number, path, encoding.as_deref())?;
        let text = tape.bytes(node);
        let canonical = if path.as_str() == RAW { is_canonical(&tape, number, text) } else { value == text };
        out.event.extend_from_slice(event.get(done..node.start as usize).unwrap_or_default());
        done = node.end as usize;
        if let (Some(seed), Some(contents)) = (salts.get(slot), out.contents.get_mut(slot)) {
            seed.salt(path).commit(path, &value).push_marker(slot, &mut out.event);
            contents.add(path.clone(), text, canonical);
        }
    }
    out.event.extend_from_slice(event.get(done..).unwrap_or_default());
    out.contents.iter_mut().for_each(Contents::settle);
    Ok(out)
}

/// Puts the values of the opened slots back, each checked against its commitment first.
///
/// `opened` pairs a slot with what its seal held. Errors: those of [`crate::strict_json`]; `marker_invalid`;
/// `value_missing` (a marker of an opened slot without value), `value_extra` (a value without marker), `value_other` (a
/// value that is not the committed one), `slot_invalid` (a slot opened twice).
pub fn restore(event: &[u8], opened: &[(usize, Contents)]) -> Result<Restored, Rejected> {
    let tape = object(event, DEPTH_MAX + MARKER_DEPTH)?;
    if opened.iter().enumerate().any(|(n, (slot, _))| opened.iter().take(n).any(|(other, _)| other == slot)) {
        return Err(refuse("slot_invalid", "", "each slot opened once"));
    }
    let found = places(&tape, 0, SLOTS_MAX)?;
    let seeds: Vec<Seed> = opened.iter().map(|(_, contents)| contents.seed()).collect();
    let mut left: Vec<usize> = opened.iter().map(|(_, contents)| contents.paths().count()).collect();
    let encoding = encoding(&tape, 0);
    let mut out = Restored { event: Vec::with_capacity(event.len()), withheld: Vec::new() };
    let mut done = 0;
    for (place, node) in found {
        let at = opened.iter().position(|(slot, _)| *slot == place.slot);
        let Some((at, (_, contents))) = at.and_then(|at| Some((at, opened.get(at)?))) else {
            out.withheld.push(place);
            continue;
        };
        let path = &place.path;
        let missing = || refuse("value_missing", path.as_str(), "a value in the seal of this slot");
        let text = contents.text(path).ok_or_else(missing)?;
        let inner = strict(text)?;
        let value = committed(&inner, 0, path, encoding.as_deref())?;
        if !seeds.get(at).is_some_and(|seed| seed.salt(path).verify(path, &value, &place.commitment)) {
            return Err(refuse("value_other", path.as_str(), "the value that the commitment was made of"));
        }
        if let Some(left) = left.get_mut(at) {
            *left = left.saturating_sub(1);
        }
        out.event.extend_from_slice(event.get(done..node.start as usize).unwrap_or_default());
        out.event.extend_from_slice(text);
        done = node.end as usize;
    }
    out.event.extend_from_slice(event.get(done..).unwrap_or_default());
    if left.iter().any(|left| *left > 0) {
        return Err(refuse("value_extra", "", "no value in a seal without a marker in the event"));
    }
    Ok(out)
}

/// Paths of the outermost objects of an event that have a member `$sealed` of their own.
///
/// A caller seals these as values, so that nobody takes them for ours. Errors: those of [`crate::strict_json`];
/// `places_many` and `pointer_invalid` (too long): then what holds them is to be sealed whole.
pub fn reserved(event: &[u8]) -> Result<Vec<Pointer>, Rejected> {
    let tape = object(event, DEPTH_MAX)?;
    let mut found = Vec::new();
    markers(&tape, 0, &[], &mut |path, _| {
        if found.len() >= PLACES_MAX {
            return Err(refuse("places_many", "", "at most 1024 members of the name `$sealed`"));
        }
        found.push(Pointer::parse(path)?);
        Ok(())
    })?;
    Ok(found)
}

fn object(event: &[u8], depth: usize) -> Result<Tape<'_>, Rejected> {
    if event.len() > super::BODY_BYTES_MAX {
        return Err(refuse("body_size", "", "at most 32 MiB"));
    }
    let tape = parse_to(event, Mode::Strict, depth).map_err(|fault| Rejected::of(event, fault))?;
    if tape.node(0).is_none_or(|node| node.sort != Sort::Object) {
        return Err(refuse("event_type", "", "a JSON object"));
    }
    Ok(tape)
}

/// What is told about each object with a member `$sealed`: its path, of any length, and its node. An error ends it.
pub(crate) type Visit<'v> = dyn FnMut(&str, u32) -> Result<(), Rejected> + 'v;

/// Visits the outermost objects with a member `$sealed`, in the order of the text; what lies within `skip`, sorted by
/// start, is not looked at.
pub(crate) fn markers(tape: &Tape<'_>, root: u32, skip: &[Node], visit: &mut Visit<'_>) -> Result<(), Rejected> {
    look(tape, root, skip, &mut String::new(), visit)
}

fn look(tape: &Tape<'_>, number: u32, skip: &[Node], path: &mut String, visit: &mut Visit<'_>) -> Result<(), Rejected> {
    let Some(node) = tape.node(number) else { return Ok(()) };
    // No two values begin at the same byte.
    if skip.binary_search_by_key(&node.start, |range| range.start).is_ok() {
        return Ok(());
    }
    let length = path.len();
    match node.sort {
        Sort::Object if tape.get(number, MARKER).is_some() => visit(path, number)?,
        Sort::Object => {
            for (key, value) in tape.members(number) {
                push_step(path, &tape.decode(key));
                look(tape, value, skip, path, visit)?;
                path.truncate(length);
            }
        }
        Sort::List => {
            for (n, (_, item)) in tape.items(number).enumerate() {
                push_step(path, &n.to_string());
                look(tape, item, skip, path, visit)?;
                path.truncate(length);
            }
        }
        _ => {}
    }
    Ok(())
}

/// `original.encoding` of the event: how its raw bytes are written.
fn encoding(tape: &Tape<'_>, root: u32) -> Option<String> {
    let node = tape.node(tape.path(root, &["original", "encoding"])?)?;
    Some(tape.decode(node).into_owned())
}

/// The bytes that a commitment covers.
fn committed(tape: &Tape<'_>, number: u32, path: &Pointer, encoding: Option<&str>) -> Result<Vec<u8>, Rejected> {
    let refused = |expected| refuse("place_refused", path.as_str(), expected);
    if path.as_str() == ENCODING {
        return Err(refused("no place that says how a sealed value is written"));
    }
    if path.as_str() != RAW {
        let mut out = Vec::new();
        push(tape, number, &mut out);
        return Ok(out);
    }
    let node = tape.node(number).filter(|node| node.sort == Sort::Text).ok_or_else(|| refused("a string"))?;
    let text = tape.decode(node);
    match encoding {
        None => Ok(text.into_owned().into_bytes()),
        Some("base64") => STANDARD.decode(text.as_bytes()).map_err(|_| refused("base64")),
        Some(_) => Err(refused("no encoding, or base64")),
    }
}

fn is_canonical(tape: &Tape<'_>, number: u32, text: &[u8]) -> bool {
    let mut canonical = Vec::with_capacity(text.len());
    push(tape, number, &mut canonical);
    canonical == text
}

/// What a marker says: its slot and commitment.
pub(crate) fn marker(tape: &Tape<'_>, number: u32) -> Option<(usize, Commitment)> {
    let mut members = tape.members(number);
    let (Some((name, value)), None) = (members.next(), members.next()) else { return None };
    (tape.inner(name) == MARKER.as_bytes()).then_some(())?;
    let mut items = tape.items(value);
    let (Some((slot, _)), Some((text, _)), None) = (items.next(), items.next(), items.next()) else { return None };
    let commitment = STANDARD.decode(tape.inner(text)).ok()?.try_into().ok()?;
    (text.sort == Sort::Text).then_some(())?;
    Some((small_number(tape, slot)?, Commitment(commitment)))
}

/// A slot: one or two digits, no leading zero.
pub(crate) fn small_number(tape: &Tape<'_>, node: Node) -> Option<usize> {
    let text = std::str::from_utf8(tape.bytes(node)).ok()?;
    let plain = node.sort == Sort::Number && text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit());
    (plain && (text.len() == 1 || !text.starts_with('0'))).then(|| text.parse().ok()).flatten()
}
