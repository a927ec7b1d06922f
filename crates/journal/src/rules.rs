//! Small rules that need no state: sources, names, origins, made-up ids and secrets.

use std::sync::Mutex;

use zeroize::Zeroizing;

use crate::credential::{Credential, Secret};
use crate::request::Refusal;

/// Prefix of the server's own sources, allowed to no token whatever it says.
pub const RESERVED_PREFIX: &str = "urn:proofbook:";

/// Prefixes that a refusal names.
const PREFIXES_SHOWN: usize = 3;

/// events.md rule 9: a source equals the token's default or begins with an allowed prefix; else 403 naming both.
pub fn allow_source(credential: &Credential, source: &str) -> Result<(), Refusal> {
    let prefixes = &credential.source_prefixes;
    let granted = source == credential.default_source || prefixes.iter().any(|p| source.starts_with(p.as_str()));
    if granted && !is_reserved(source) {
        return Ok(());
    }
    let allowed = match prefixes.as_slice() {
        [] => format!("\"{}\"", credential.default_source),
        some => {
            // Ten thousand refusals may stand in one answer: a few prefixes tell what it is about.
            let few: Vec<&str> = some.iter().take(PREFIXES_SHOWN).map(String::as_str).collect();
            let more = match some.len().saturating_sub(few.len()) {
                0 => String::new(),
                more => format!(" or one of {more} more"),
            };
            let few = few.join("\", \"");
            format!("\"{}\" or a source that begins with one of \"{few}\"{more}", credential.default_source)
        }
    };
    let detail = format!("the source \"{source}\" is not allowed to this token, which may use {allowed}");
    Err(Refusal::new(403, "source-not-allowed", "source", allowed, detail))
}

/// URN scheme and namespace are compared without regard to case (RFC 8141, section 3.1), so none slips through.
pub(crate) fn is_reserved(source: &str) -> bool {
    source.get(..RESERVED_PREFIX.len()).is_some_and(|head| head.eq_ignore_ascii_case(RESERVED_PREFIX))
}

/// Whether a name may be a ledger's: `[a-z0-9-]{1,63}`.
pub fn is_ledger_name(name: &str) -> bool {
    (1..=63).contains(&name.len()) && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// The origin of a new ledger: by the public host, or `local-<12 random hex>` where there is none (DESIGN section 6).
pub fn origin(host: Option<&str>, local: &[u8; 6], ledger: &str) -> String {
    match host {
        Some(host) => format!("{host}/logs/{ledger}"),
        None => format!("local-{}/logs/{ledger}", hex(local)),
    }
}

/// A token's secret: `pb_` and 256 random bits in hex.
pub fn secret(random: &dyn Fn(&mut [u8])) -> Secret {
    let mut bytes = Zeroizing::new([0; 32]);
    random(bytes.as_mut());
    let mut text = Zeroizing::new(String::with_capacity(67));
    text.push_str("pb_");
    text.push_str(&Zeroizing::new(hex(bytes.as_ref())));
    Secret(text)
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|b| [b >> 4, b & 15]);
    digits.filter_map(|d| char::from_digit(u32::from(d), 16)).collect()
}

/// Makes ULIDs that ascend: within one millisecond the random part counts up, so that neighbours compress.
#[derive(Debug, Default)]
pub struct Ulids {
    last: Mutex<u128>,
}

impl Ulids {
    /// The next one; ascends even where the clock does not.
    pub fn next(&self, now_ns: u64, random: &dyn Fn(&mut [u8])) -> String {
        let time = u128::from(now_ns / 1_000_000) << 80;
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // The time of the last one rules while the clock stands still or goes back.
        if time > *last & TIME_BITS {
            let mut bytes = [0; 16];
            random(&mut bytes);
            // One bit less than there is room for, so that counting up does not reach the time.
            *last = time | (u128::from_be_bytes(bytes) & (RANDOM_BITS >> 1));
        } else {
            *last += 1;
        }
        text(*last)
    }
}

const TIME_BITS: u128 = ((1 << 48) - 1) << 80;
const RANDOM_BITS: u128 = (1 << 80) - 1;

fn text(ulid: u128) -> String {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    (0..26).rev().map(|at| char::from(DIGITS[(ulid >> (5 * at) & 31) as usize])).collect()
}
