//! TLS of the shipped binary: reached by the client with its own authority, taken up again when the files change.

use std::path::Path;

use crate::rig::{Folder, How, eventually, said};

fn pair() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn tls_is_reachable_by_the_client_and_taken_up_again() {
    let folder = Folder::new();
    let (cert, key) = (folder.path("cert.pem"), folder.path("key.pem"));
    let (first, second) = (pair(), pair());
    std::fs::write(&cert, &first.0).unwrap();
    std::fs::write(&key, &first.1).unwrap();
    let (ca_first, ca_second) = (folder.path("first.pem"), folder.path("second.pem"));
    std::fs::write(&ca_first, &first.0).unwrap();
    std::fs::write(&ca_second, &second.0).unwrap();
    let flags = ["--tls-cert", &text(&cert), "--tls-key", &text(&key)].map(str::to_owned).to_vec();
    // Beyond loopback too: with TLS that is no open listener.
    let how = How { flags, listen: Some("0.0.0.0:0".to_owned()), ..How::default() };
    let up = folder.try_up(&how).unwrap();
    assert!(up.url().starts_with("https://0.0.0.0:"), "{}", up.url());
    let url = up.url().replace("0.0.0.0", "127.0.0.1");
    let status = |ca: &Path| said(&folder.cli(&url, &["--json", "--ca", &text(ca), "status"]));
    let (code, lines) = status(&ca_first);
    assert_eq!((code, lines[0]["state"].clone()), (0, "running".into()), "{lines:?}");
    assert_eq!(status(&ca_second).0, 4, "a certificate of another authority is not accepted");
    let events = folder.path("events.ndjson");
    std::fs::write(&events, "{\"action\":\"door.opened\"}\n").unwrap();
    let args = ["--json", "--ca", &text(&ca_first), "ingest", &text(&events)];
    assert_eq!(said(&folder.cli(&url, &args)).0, 0);
    // Plain HTTP on a TLS port is no way in.
    assert!(up.http("").call("GET", "/healthz", "", b"").is_err());
    std::fs::write(&cert, &second.0).unwrap();
    std::fs::write(&key, &second.1).unwrap();
    eventually("the new pair is taken up", || status(&ca_second).0 == 0);
    assert_eq!(status(&ca_first).0, 4);
    up.stop_cleanly();
}

#[test]
fn half_a_pair_or_a_key_of_another_certificate_does_not_start() {
    let folder = Folder::new();
    let (cert, key) = (folder.path("cert.pem"), folder.path("key.pem"));
    std::fs::write(&cert, pair().0).unwrap();
    std::fs::write(&key, pair().1).unwrap();
    for (flags, says) in [
        (vec!["--tls-cert", &text(&cert)], "--tls-key is missing"),
        (vec!["--tls-cert", &text(&cert), "--tls-key", &text(&key)], "TLS"),
        (vec!["--tls-cert", &text(&folder.path("none")), "--tls-key", &text(&key)], "none"),
    ] {
        let how = How { flags: flags.iter().map(|f| (*f).to_owned()).collect(), ..How::default() };
        let refused = folder.try_up(&how).err().unwrap();
        assert_eq!(refused.code, Some(1));
        assert!(refused.error.contains(says), "{says}: {refused:?}");
    }
}
