//! A leaf of any bytes: what reads back is JSON with the members in their order, and names the digest it is asked for.
#![cfg_attr(fuzzing, no_main)]

use proofbook_fuzz::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let digest = event::body_digest(data);
    let Some(view) = event::parse_leaf(data) else { return };
    event::strict_json(data).unwrap();
    let value: serde_json::Value = serde_json::from_slice(data).unwrap();
    assert_eq!(value["action"], view.action);
    assert_eq!(value["received_at"], view.received_at);
    assert_eq!(value["entry_id"], view.entry_id);
    let digest: String = digest.expect("a whole leaf names its body").iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(value["body_sha256"], digest);
});
