//! Tokens through the binary: quotas, the life of the first one, a reset of a stopped folder.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::rig::{Folder, eventually, said};
use crate::writers::event;

/// Creates a token by the command line and answers its secret.
fn token(folder: &Folder, url: &str, flags: &[&str]) -> String {
    let out = folder.cli(url, &[&["--json", "token", "create"], flags].concat());
    let (code, lines) = said(&out);
    assert_eq!(code, 0, "{lines:?} {}", String::from_utf8_lossy(&out.stderr));
    lines[0]["token"].as_str().unwrap().to_owned()
}

#[test]
fn a_quota_answers_429_with_retry_after_and_is_paid_off() {
    let folder = Folder::new();
    let up = folder.up();
    let flags = ["--service", "slow", "--events-per-second", "5", "--reads-per-minute", "3"];
    let mut http = up.http(&token(&folder, up.url(), &flags));
    let batch: Vec<Value> = (0..15).map(|n| event(&format!("q{n}"), 1)).collect();
    let path = "/v1/ledgers/main/events";
    // A request may go into debt, and the next one waits until it is paid.
    assert_eq!(http.post(path, Value::Array(batch).to_string().as_bytes()).status, 200);
    let one = event("later", 1).to_string();
    let refused = http.post(path, one.as_bytes());
    assert_eq!((refused.status, refused.json()["type"].clone()), (429, "/errors/quota-exceeded".into()));
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3).contains(&seconds), "{seconds}");
    std::thread::sleep(std::time::Duration::from_secs(seconds));
    assert_eq!(http.post(path, one.as_bytes()).status, 200, "what Retry-After said is enough");
    for _ in 0..3 {
        assert_eq!(http.get("/v1/ledgers/main/entries/1").status, 200);
    }
    let refused = http.get("/v1/ledgers/main/entries/1");
    assert_eq!(refused.status, 429);
    assert!((1..=60).contains(&refused.header("retry-after").unwrap().parse::<u64>().unwrap()));
    // Another token's buckets are its own.
    assert_eq!(up.http(&folder.bootstrap()).get("/v1/ledgers/main/entries/1").status, 200);
}

#[test]
fn bytes_of_a_day_are_a_quota_too() {
    let folder = Folder::new();
    let up = folder.up();
    let mut http = up.http(&token(&folder, up.url(), &["--service", "small", "--bytes-per-day", "1000"]));
    let path = "/v1/ledgers/main/events";
    assert_eq!(http.post(path, event("a", 1_500).to_string().as_bytes()).status, 200);
    let refused = http.post(path, event("b", 1).to_string().as_bytes());
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() > 3_600);
    // Nothing of a refused request was appended.
    let size = up.http(&folder.bootstrap()).get("/v1/ledgers/main").ok_json()["size"].as_u64().unwrap();
    assert_eq!(size, 2, "the ledger's own first entry and one event");
}

#[test]
fn a_revoked_token_is_refused_at_once_and_after_a_restart() {
    let folder = Folder::new();
    let up = folder.up();
    let secret = token(&folder, up.url(), &["--service", "gone"]);
    let list = up.http(&folder.bootstrap()).get("/v1/tokens").ok_json();
    let all = list["tokens"].as_array().unwrap();
    assert!(!list.to_string().contains(&secret[3..]), "a list shows no secret");
    let id = all.iter().find(|t| t["bootstrap"] == false).unwrap()["token_id"].as_str().unwrap().to_owned();
    assert_eq!(up.http(&secret).get("/v1/ledgers/main").status, 200);
    assert_eq!(said(&folder.cli(up.url(), &["--json", "token", "revoke", &id])).0, 0);
    assert_eq!(up.http(&secret).get("/v1/ledgers/main").status, 401);
    up.kill();
    let up = folder.up();
    assert_eq!(up.http(&secret).get("/v1/ledgers/main").status, 401);
}

#[test]
fn the_first_token_ends_with_the_use_of_another_and_stays_gone() {
    let folder = Folder::new();
    let up = folder.up();
    let file = folder.data().join("bootstrap.token");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(up.ready["first_token"].as_str().unwrap(), file.display().to_string());
    assert!(!up.ready.to_string().contains(&folder.bootstrap()), "a log of the output holds no secret");
    let reader = token(&folder, up.url(), &["--person", "eve", "--verb", "read-leaves"]);
    let admin = token(&folder, up.url(), &["--person", "ada", "--verb", "admin", "--ledger", "*"]);
    assert_eq!(up.http(&reader).get("/v1/ledgers/main").status, 200);
    assert!(file.exists(), "a token without the verb admin ends nothing");
    assert_eq!(up.http(&admin).get("/v1/tokens").status, 200);
    eventually("bootstrap.token is removed", || !file.exists());
    up.stop_cleanly();
    let up = folder.up();
    assert!(up.ready["first_token"].is_null() && !file.exists());
    assert_eq!(up.http(&admin).get("/v1/tokens").status, 200);
    up.kill();
    let up = folder.up();
    assert!(up.ready["first_token"].is_null() && !file.exists());
}

#[test]
fn a_removal_that_a_crash_cut_short_is_finished_by_the_next_start() {
    let folder = Folder::new();
    let up = folder.up();
    let file = folder.data().join("bootstrap.token");
    let admin = token(&folder, up.url(), &["--person", "ada", "--verb", "admin", "--ledger", "*"]);
    assert_eq!(up.http(&admin).get("/v1/tokens").status, 200);
    eventually("bootstrap.token is removed", || !file.exists());
    up.stop_cleanly();
    // The entry about it was durable, the removal was not.
    std::fs::write(&file, "pb_old\n").unwrap();
    let _up = folder.up();
    assert!(!file.exists(), "the file of an ended token is left behind");
}

#[test]
fn a_reset_needs_a_stopped_folder_and_then_works() {
    let folder = Folder::new();
    let up = folder.up();
    let (data, pin) = (folder.data(), folder.path("pin"));
    let reset = || {
        let args = ["--json", "token", "reset", "--data", data.to_str().unwrap(), "--pin", pin.to_str().unwrap()];
        said(&folder.cli("", &args))
    };
    let (code, lines) = reset();
    assert_eq!(code, 1);
    assert!(lines[0]["error"].as_str().unwrap().contains("another process runs on this data folder"), "{lines:?}");
    up.stop_cleanly();
    let (code, lines) = reset();
    assert_eq!(code, 0, "{lines:?}");
    let secret = lines[0]["token"].as_str().unwrap().to_owned();
    let up = folder.up();
    assert_eq!(up.http(&secret).get("/v1/tokens").status, 200);
    // It leaves an entry, and the first token's file ends with it.
    let size = up.http(&secret).get("/v1/ledgers/control").ok_json()["size"].as_u64().unwrap();
    let entries = (0..size).map(|n| up.http(&secret).get(&format!("/v1/ledgers/control/entries/{n}")).text());
    assert!(entries.into_iter().filter(|e| e.contains("token.created")).count() >= 2);
    eventually("bootstrap.token is removed", || !data.join("bootstrap.token").exists());
    let nowhere = folder.path("nowhere");
    let args = ["--json", "token", "reset", "--data", nowhere.to_str().unwrap()];
    assert_eq!(said(&folder.cli("", &args)).0, 1);
    assert!(!nowhere.exists(), "a mistyped folder is not made");
}
