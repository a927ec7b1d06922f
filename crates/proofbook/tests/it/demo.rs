//! The tour, as a newcomer's script would run it.

use std::process::Command;

fn demo(arguments: &[&str]) -> (bool, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_proofbook"))
        .arg("demo")
        .args(arguments)
        .env("TMPDIR", folder.path())
        .env_remove("HOME")
        .env_remove("XDG_STATE_HOME")
        .output()
        .unwrap();
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "the temporary folder is removed");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (out.status.success(), text(out.stdout), text(out.stderr))
}

#[test]
fn every_part_of_the_tour_holds() {
    let (good, out, err) = demo(&["--exit"]);
    assert!(good, "{out}{err}");
    for part in ["14,892 events", "verified  the entry is in the log", "caught  body-altered: entry #"] {
        assert!(out.contains(part), "{part} is missing:\n{out}");
    }
    // The entry that was forged is the one that was proved.
    let number = |before: &str| out.split(before).nth(1).map(|t| t.chars().take_while(char::is_ascii_digit).collect());
    let proved: Option<String> = number("entry #");
    assert_eq!(proved, number("caught  body-altered: entry #"));
}

#[test]
fn the_tour_for_machines() {
    let (good, out, err) = demo(&["--json"]);
    assert!(good, "{out}{err}");
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told["held"], true);
    assert_eq!(told["steps"].as_array().unwrap().len(), 7);
}
