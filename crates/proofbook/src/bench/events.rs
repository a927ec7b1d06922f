//! Events of about 512 bytes, all distinct: made from a few dozen templates whose identifiers, addresses and times are
//! filled in by number. Cheap, because the generator shares its cores with what it measures.
//!
//! The entries for the log in process have a leaf and a body in the form of docs/formats/entry.md.

use sha2::{Digest, Sha256};

/// Length of the slot for `received_at`.
const STAMP: &str = "0000-00-00T00:00:00.000000000Z";
/// Different templates.
const TEMPLATES: usize = 32;

const DEEDS: [(&str, &str, &str); 8] = [
    ("invoice.viewed", "data", "invoice"),
    ("invoice.approved", "data", "invoice"),
    ("auth.login", "auth", "session"),
    ("iam.role_granted", "iam", "role"),
    ("customer.exported", "data", "customer"),
    ("config.changed", "config", "setting"),
    ("document.shared", "data", "document"),
    ("api_key.rotated", "iam", "api_key"),
];
const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0",
    "billing-worker/4.18.2 (linux; amd64)",
    "curl/8.14.1",
];

/// What is filled in.
#[derive(Clone, Copy)]
enum Fill {
    /// Hexadecimal digits of a number mixed with this salt.
    Hex(u64),
    /// Decimal digits, below 10^n.
    Decimal(u64),
    /// The number itself in decimal.
    Number,
}

#[derive(Clone, Copy)]
struct Hole {
    at: usize,
    digits: usize,
    fill: Fill,
}

#[derive(Default)]
struct Template {
    bytes: Vec<u8>,
    holes: Vec<Hole>,
}

impl Template {
    fn text(&mut self, text: &str) -> &mut Self {
        self.bytes.extend_from_slice(text.as_bytes());
        self
    }

    fn hole(&mut self, digits: usize, fill: Fill) -> &mut Self {
        self.holes.push(Hole { at: self.bytes.len(), digits, fill });
        self.bytes.resize(self.bytes.len() + digits, b'0');
        self
    }

    fn fill(&self, number: u64, run: u64, out: &mut [u8]) {
        out.copy_from_slice(&self.bytes);
        for hole in &self.holes {
            let Some(slot) = out.get_mut(hole.at..hole.at + hole.digits) else { continue };
            match hole.fill {
                Fill::Hex(salt) => hex(mix(number ^ salt ^ run), salt, slot),
                Fill::Decimal(salt) => decimal(mix(number ^ salt), slot),
                Fill::Number => decimal(number, slot),
            }
        }
    }
}

/// A bijection whose outputs look random.
pub(super) fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}

fn hex(mut bits: u64, salt: u64, slot: &mut [u8]) {
    for (n, byte) in slot.iter_mut().enumerate() {
        if n > 0 && n % 16 == 0 {
            bits = mix(bits ^ salt);
        }
        *byte = b"0123456789abcdef"[(bits >> (4 * (n % 16)) & 15) as usize];
    }
}

fn decimal(mut number: u64, slot: &mut [u8]) {
    for byte in slot.iter_mut().rev() {
        *byte = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Makes events; two of different `run` share no identifier.
pub(super) struct Events {
    events: Vec<Template>,
    bodies: Vec<Template>,
    leaves: Vec<Leaf>,
    run: u64,
}

struct Leaf {
    template: Template,
    stamp_at: u32,
    digest_at: usize,
}

impl Events {
    pub(super) fn new(run: u64) -> Events {
        let all = || 0..TEMPLATES;
        let bodies: Vec<Template> = all().map(|n| event(n, true)).collect();
        let leaves = bodies.iter().enumerate().map(|(n, body)| leaf(n, body.bytes.len())).collect();
        Events { events: all().map(|n| event(n, false)).collect(), bodies, leaves, run: mix(run) }
    }

    fn pick(number: u64) -> usize {
        (mix(number) % TEMPLATES as u64) as usize
    }

    /// Appends the JSON of one event, as a client posts it.
    pub(super) fn push(&self, number: u64, out: &mut Vec<u8>) {
        append(self.events.get(Self::pick(number)), number, self.run, out);
    }

    /// Appends the body of one entry.
    pub(super) fn push_body(&self, number: u64, out: &mut Vec<u8>) {
        append(self.bodies.get(Self::pick(number)), number, self.run, out);
    }

    /// Appends the leaf of one entry, which names its body's digest; gives the place of the slot for the time.
    pub(super) fn push_leaf(&self, number: u64, digest: &[u8; 32], out: &mut Vec<u8>) -> u32 {
        let Some(leaf) = self.leaves.get(Self::pick(number)) else { return 0 };
        let at = out.len();
        append(Some(&leaf.template), number, self.run, out);
        leaf.name(digest, at, out);
        leaf.stamp_at
    }

    /// Appends leaf and body of one entry, in place, and says where the body begins. The leaf names its digest.
    pub(super) fn push_entry(&self, number: u64, out: &mut Vec<u8>) -> usize {
        let Some(leaf) = self.leaves.get(Self::pick(number)) else { return 0 };
        let at = out.len();
        append(Some(&leaf.template), number, self.run, out);
        let body_at = out.len();
        self.push_body(number, out);
        let digest: [u8; 32] = Sha256::digest(out.get(body_at..).unwrap_or_default()).into();
        leaf.name(&digest, at, out);
        body_at
    }
}

impl Leaf {
    /// Fills in the body's digest in the leaf that begins at `at`.
    fn name(&self, digest: &[u8; 32], at: usize, out: &mut [u8]) {
        if let Some(slot) = out.get_mut(at + self.digest_at..at + self.digest_at + 64) {
            for (pair, byte) in slot.chunks_exact_mut(2).zip(digest) {
                pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
}

fn digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' + value - 10 }
}

fn append(template: Option<&Template>, number: u64, run: u64, out: &mut Vec<u8>) {
    let Some(template) = template else { return };
    let at = out.len();
    out.resize(at + template.bytes.len(), 0);
    template.fill(number, run, out.get_mut(at..).unwrap_or_default());
}

fn event(n: usize, body: bool) -> Template {
    let (action, _, kind) = DEEDS[n % DEEDS.len()];
    let agent = AGENTS[n / DEEDS.len() % AGENTS.len()];
    let status = if n.is_multiple_of(11) {
        r#""status":"denied","code":"403","authorized":false"#
    } else {
        r#""status":"success","code":"200","authorized":true"#
    };
    let mut t = Template::default();
    t.text("{");
    if body {
        t.text(r#""salt":""#).hole(22, Fill::Hex(1)).text(r#"==","#);
    }
    t.text(r#""id":"evt-"#).hole(24, Fill::Hex(2));
    t.text(r#"","source":"urn:example:billing","action":""#).text(action);
    t.text(r#"","occurred_at":"2026-11-24T0"#).hole(1, Fill::Number).text(":1").hole(1, Fill::Decimal(3));
    t.text(":2").hole(1, Fill::Decimal(4)).text(".").hole(6, Fill::Decimal(5));
    t.text(r#"Z","actor":{"type":"user","id":"u-"#).hole(6, Fill::Decimal(6));
    t.text(r#""},"targets":[{"type":""#).text(kind).text(r#"","id":""#).text(kind);
    t.text("-").hole(8, Fill::Decimal(8)).text(r#""}],"outcome":{"#).text(status);
    t.text(r#"},"context":{"ip":"10.20.1"#).hole(2, Fill::Decimal(9)).text(".1").hole(2, Fill::Decimal(10));
    t.text(r#"","user_agent":""#).text(agent).text(r#"","host":"web-"#).hole(1, Fill::Decimal(11));
    t.text(r#"","app":"billing","environment":"production","request_id":""#).hole(24, Fill::Hex(12));
    t.text(r#""},"severity":"info"}"#);
    t
}

fn leaf(n: usize, body_bytes: usize) -> Leaf {
    let (action, category, _) = DEEDS[n % DEEDS.len()];
    let outcome = if n.is_multiple_of(11) { "denied" } else { "success" };
    let mut t = Template::default();
    t.text(r#"{"v":1,"entry_id":"01KAT"#).hole(21, Fill::Number);
    t.text(r#"","source":"urn:example:billing","action":""#).text(action);
    t.text(r#"","category":""#).text(category).text(r#"","severity":"info","outcome":""#).text(outcome);
    t.text(r#"","occurred_at":"2026-11-24T0"#).hole(1, Fill::Number).text(":1").hole(1, Fill::Decimal(3));
    t.text(":2").hole(1, Fill::Decimal(4)).text(".").hole(6, Fill::Decimal(5)).text(r#"000Z","received_at":""#);
    let stamp_at = u32::try_from(t.bytes.len()).unwrap_or(u32::MAX);
    t.text(STAMP).text(r#"","actor_ref":""#).hole(32, Fill::Hex(6)).text(r#"","body_sha256":""#);
    let digest_at = t.bytes.len();
    t.text(&"0".repeat(64)).text(&format!(r#"","body_bytes":{body_bytes}}}"#));
    Leaf { template: t, stamp_at, digest_at }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn events_are_json_of_about_512_bytes_with_ids_of_their_own() {
        let (events, others) = (Events::new(1), Events::new(2));
        let (mut ids, mut bytes) = (BTreeSet::new(), 0);
        for events in [&events, &others] {
            for number in 0..2000 {
                let mut out = Vec::new();
                events.push(number, &mut out);
                bytes += out.len();
                let event: Value = serde_json::from_slice(&out).unwrap();
                assert!(ids.insert(event["id"].as_str().unwrap().to_owned()));
            }
        }
        let mean = bytes / 4000;
        assert!((480..=544).contains(&mean), "{mean} bytes");
    }

    #[test]
    fn a_leaf_names_its_body() {
        let events = Events::new(1);
        let mut out = Vec::new();
        for number in 0..200 {
            out.clear();
            let body_at = events.push_entry(number, &mut out);
            let (leaf_bytes, body) = out.split_at(body_at);
            let leaf: Value = serde_json::from_slice(leaf_bytes).unwrap();
            let digest: [u8; 32] = Sha256::digest(body).into();
            let mut apart = Vec::new();
            let stamp_at = events.push_leaf(number, &digest, &mut apart) as usize;
            assert_eq!(apart, leaf_bytes);
            let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(leaf["body_sha256"], hex);
            assert_eq!(leaf["body_bytes"], body.len());
            let slot = &leaf_bytes[stamp_at..][..STAMP.len()];
            assert_eq!(slot, STAMP.as_bytes());
            serde_json::from_slice::<Value>(body).unwrap();
        }
    }
}
