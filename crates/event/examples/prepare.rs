//! Measures the hot path: prepare, body and leaf of a native event of about 512 bytes, and `body_digest`.
#![expect(clippy::print_stdout, reason = "an example talks to people")]

use std::hint::black_box;
use std::time::Instant;

fn main() -> Result<(), event::Rejected> {
    let raw = br#"{"id":"01JD2Q5V7W8X9Y0Z1A2B3C4D5E","source":"urn:example:shop","action":"invoice.viewed","occurred_at":"2026-11-24T02:29:41.651655Z","actor":{"type":"user","id":"u-184467","name":"Ada Lovelace","ip":"203.0.113.9"},"targets":[{"type":"invoice","id":"inv-2026-000184467","name":"November"}],"outcome":{"status":"success","code":"200"},"context":{"ip":"203.0.113.9","user_agent":"Mozilla/5.0 (X11; Linux x86_64)","request_id":"7f1c2d3e4b5a69788796a5b4c3d2e1f0"},"severity":"info","metadata":{"plan":"pro","seats":12}}"#;
    let make_id = || "01JD0000000000000000000000".to_owned();
    let ctx = event::Context {
        default_source: "urn:example:shop",
        tenant: "default",
        ledger: "main",
        arrival: 1_795_487_382_000_000_000,
        place: None,
        make_id: &make_id,
        ingest: None,
    };
    let rounds = 1_000_000_u32;
    let (mut body, mut leaf) = (Vec::new(), Vec::new());
    let start = Instant::now();
    for _ in 0..rounds {
        body.clear();
        leaf.clear();
        let event = event::prepare(event::Format::Native, black_box(raw), &ctx)?;
        event.write_body("AAAAAAAAAAAAAAAAAAAAAA==", &mut body);
        event.write_leaf("01JD0000000000000000000000", None, &[7; 32], 600, &mut leaf);
        black_box((&body, &leaf));
    }
    let each = start.elapsed().as_nanos() / u128::from(rounds);
    let start = Instant::now();
    for _ in 0..rounds {
        black_box(event::body_digest(black_box(&leaf)));
    }
    let digest = start.elapsed().as_nanos() / u128::from(rounds);
    println!("event of {} bytes: {each} ns for prepare, body and leaf; body_digest {digest} ns", raw.len());
    Ok(())
}
