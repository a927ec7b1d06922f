//! CPU time of building batches: parsing, body, leaf, digests and tags of native events of about 480 bytes, without the
//! log. `cargo run --release -p journal --example build`
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "an example")]

use std::sync::Arc;
use std::time::Instant;

use journal::append::Builder;
use journal::rules::Ulids;
use journal::{Credential, Format, Framing, Quotas, Request};
use vault::{Random, Vault};

fn batch() -> String {
    let mut out = String::new();
    for i in 0..1_000 {
        out.push_str(&format!(
            concat!(
                r#"{{"id":"0001-{i:08x}","action":"invoice.viewed","category":"data","occurred_at":"2026-11-24T02:29:41Z","#,
                r#""actor":{{"type":"user","id":"user-{u}","name":"Ada Example","ip":"192.0.2.{ip}"}},"#,
                r#""targets":[{{"type":"invoice","id":"inv-{i}","name":"Invoice {i}"}}],"outcome":{{"status":"success"}},"#,
                r#""context":{{"request_id":"req-{i}","app":"a-{u}","user_agent":"Mozilla/5.0 (X11; Linux x86_64)"}},"#,
                r#""severity":"info","message":"invoice {i} was viewed by user {u} from the web console"}}"#,
                "\n"
            ),
            u = i % 97,
            ip = i % 251,
            i = i
        ));
    }
    out
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let random: Random = Arc::new(|out| aws_lc_rs::rand::fill(out).unwrap());
    let (vault, _) = Vault::open(&dir.path().join("v"), Arc::clone(&random)).unwrap();
    let ulids = Ulids::default();
    let credential = Credential {
        token_id: "t".into(),
        principal: "p".into(),
        bootstrap: false,
        default_source: "urn:principal:p".into(),
        source_prefixes: vec![],
        ledgers: vec!["*".into()],
        verbs: vec![],
        quotas: Quotas::default(),
    };
    let body = batch();
    let (mut rounds, begun) = (0u64, Instant::now());
    while begun.elapsed().as_secs() < 5 {
        let builder = Builder { vault: &vault, random: &random, ulids: &ulids, now_ns: 1, ledger: "main" };
        let request = Request { format: Format::Native, body: body.as_bytes(), framing: Framing::Ndjson, place: None };
        let built = builder.build(&credential, &request).unwrap();
        assert_eq!(built.batch.entries.len(), 1_000);
        rounds += 1;
    }
    let ns = begun.elapsed().as_nanos() as f64 / (rounds * 1_000) as f64;
    println!("{ns:.0} ns an event of {} bytes (wall, one thread)", body.len() / 1_000);
}
