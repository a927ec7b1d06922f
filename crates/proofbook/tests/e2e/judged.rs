//! The data folder that a real server leaves behind, judged offline: by the shipped binary, and by the Python verifier,
//! which must say the same.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde_json::{Value, json};

use crate::rig::{Folder, Up, said};
use crate::writers::{Writer, event, load, receipts};

/// What both verifiers say of the stopped folder, once they agree; `None`, said aloud, where there is no Python, and
/// then the binary's word alone has been heard.
pub(crate) fn by_both(folder: &Folder) -> Value {
    let (data, pin) = (folder.data(), folder.path("pin"));
    let (data, pin) = (data.to_str().unwrap(), pin.to_str().unwrap());
    let (exit, ours) = said(&folder.cli("", &["--json", "verify", data, "--pin", pin]));
    let ours = ours.into_iter().next().unwrap();
    assert_eq!(ours["exit"], exit, "{ours}");
    let verifier = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../verifiers/python/proofbook_verify.py");
    let python = Command::new("python3").arg(verifier).args(["folder", data, "--pin", pin, "--json"]).output();
    match python {
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            let theirs: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {errors}"));
            assert_eq!(output.status.code(), Some(exit), "{errors}");
            assert_eq!(compared(&ours), compared(&theirs));
        }
        Err(error) => testkit::do_without("python3", error),
    }
    ours
}

/// An answer without what is for people, its findings in one order.
fn compared(answer: &Value) -> Value {
    let mut answer = answer.clone();
    let findings = answer["findings"].as_array_mut().unwrap();
    for finding in findings.iter_mut() {
        finding.as_object_mut().unwrap().remove("detail");
    }
    findings.sort_by_key(Value::to_string);
    answer
}

/// Stops the server and expects nothing to be said against its folder.
pub(crate) fn stopped_and_whole(folder: &Folder, up: Up) {
    up.stop_cleanly();
    let answer = by_both(folder);
    // A stop does not wait for a set that is being written: its unfinished files are all that may need explaining.
    let explained = |found: &Value| {
        let file = found["file"].as_str().unwrap();
        found["code"] == "unfinished" && file.starts_with("sealed/") && file.ends_with(".tmp")
    };
    assert!(answer["exit"] == 0 && answer["findings"].as_array().unwrap().iter().all(explained), "{answer}");
    assert_eq!(answer["notes"], json!(["own-keys", "unwitnessed"]));
}

#[test]
fn a_stopped_servers_folder_is_ok_and_a_running_ones_is_told() {
    let folder = Folder::new();
    let up = folder.up();
    let token = folder.bootstrap();
    let (exit, _) = said(&folder.cli(up.url(), &["--json", "ledger", "create", "artifacts", "--raw"]));
    assert_eq!(exit, 0);
    for n in 0..5 {
        let answer = up.http(&token).post("/logs/artifacts/add", format!("artifact {n}").as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let events = Value::Array((0..600).map(|n| event(&format!("e{n}"), 50)).collect()).to_string();
    receipts(&up.http(&token).post("/v1/ledgers/main/events", events.as_bytes()));
    let data = folder.data();
    let data = data.to_str().unwrap();
    let running = folder.cli("", &["fsck", "--data", data]);
    assert_eq!(running.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&running.stderr).contains("a server runs on"));
    stopped_and_whole(&folder, up);
    let pin = folder.path("pin");
    let (exit, answer) = said(&folder.cli("", &["--json", "fsck", "--data", data, "--pin", pin.to_str().unwrap()]));
    assert_eq!((exit, &answer[0]["next_start"]), (0, &json!(["finds everything as it was left"])), "{answer:?}");
}

/// What a kill leaves is explained, before and after the start that follows it.
#[test]
fn what_a_kill_leaves_is_explained() {
    let folder = Folder::new();
    let token = {
        let up = folder.up();
        let token = folder.bootstrap();
        up.kill();
        token
    };
    for round in 0..4 {
        let up = folder.up();
        let url = up.url().to_owned();
        let mut writers: Vec<Writer> = (0..3).map(|n| Writer::new(&format!("r{round}w{n}"))).collect();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(150 + 70 * round));
                up.kill();
            });
            load(&mut writers, &url, &token, &[(1, 10), (20, 400), (8, 20_000)], &AtomicBool::new(false));
        });
        let answer = by_both(&folder);
        assert_eq!(answer["exit"], 0, "{answer}");
    }
    stopped_and_whole(&folder, folder.up());
}

/// A server without `--pin` keeps it in the user's state folder, and so do the commands that judge look for it there.
#[test]
fn the_pin_is_found_where_a_server_keeps_it() {
    let folder = Folder::new();
    folder.up().stop_cleanly();
    let control = folder.ledger("control");
    let pins = folder.path("state").join("proofbook/pins");
    std::fs::create_dir_all(&pins).unwrap();
    std::fs::copy(folder.path("pin"), pins.join(control.file_name().unwrap())).unwrap();
    let data = folder.data();
    for args in
        [vec!["--json", "verify", data.to_str().unwrap()], vec!["--json", "fsck", "--data", data.to_str().unwrap()]]
    {
        let (exit, answer) = said(&folder.cli("", &args));
        assert_eq!((exit, &answer[0]["notes"]), (0, &json!(["own-keys", "unwitnessed"])), "{args:?}");
    }
}
