//! The rules of the house that a machine can check. Reads sources and manifests; changes nothing.
#![expect(clippy::unwrap_used, reason = "tests over the source tree")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Longest module without its tests; above it the question is not asked any more.
const MODULE_LINES_MAX: usize = 1000;
/// Largest file under version control.
const FILE_BYTES_MAX: u64 = 256 << 10;
/// All samples together.
const SAMPLES_BYTES_MAX: u64 = 2_000_000;
/// Width of a line.
const LINE_CHARS_MAX: usize = 120;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn tracked() -> Vec<PathBuf> {
    let out = Command::new("git").args(["ls-files"]).current_dir(root()).output().unwrap();
    let names = String::from_utf8(out.stdout).unwrap();
    let all: Vec<PathBuf> = names.lines().map(|n| root().join(n)).filter(|p| p.is_file()).collect();
    assert!(all.len() > 50, "git names too few files: {}", all.len());
    all
}

fn rust_files() -> Vec<(PathBuf, String)> {
    let rust = tracked().into_iter().filter(|p| p.extension().is_some_and(|e| e == "rs"));
    rust.map(|p| (p.clone(), std::fs::read_to_string(p).unwrap())).collect()
}

/// Rows of a Markdown table below a heading, first two cells, without backticks.
fn table(page: &str, heading: &str) -> BTreeMap<String, String> {
    let (_, rest) = page.split_once(&format!("## {heading}\n")).unwrap();
    let section = rest.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|l| l.starts_with("| `"));
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split('|').map(|c| c.trim().replace('`', ""));
        (cells.next().unwrap(), cells.next().unwrap_or_default())
    })
    .collect()
}

fn forbidden_arrows(
    may: &BTreeMap<String, BTreeSet<String>>,
    has: &BTreeMap<String, BTreeSet<String>>,
) -> Vec<(String, String)> {
    let allowed = |room: &str, other: &str| may.get(room).is_some_and(|all| all.contains(other));
    has.iter()
        .flat_map(|(room, all)| all.iter().map(move |other| (room.clone(), other.clone())))
        .filter(|(room, other)| !allowed(room, other))
        .collect()
}

#[test]
fn the_page_is_the_workspace() {
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rooms: BTreeSet<String> = table(&page, "Rooms, in corridor order").into_keys().collect();
    let folders: BTreeSet<String> = std::fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(rooms, folders, "the rooms of ARCHITECTURE.md are not the folders of crates/");
    let may: BTreeMap<String, BTreeSet<String>> = table(&page, "Arrows")
        .into_iter()
        .map(|(room, all)| (room, all.split(", ").filter(|s| !s.is_empty()).map(str::to_owned).collect()))
        .collect();
    let cargo = std::env::var_os("CARGO").unwrap();
    let args = ["metadata", "--format-version", "1", "--no-deps", "--offline"];
    let out = Command::new(cargo).args(args).current_dir(root()).output().unwrap();
    let meta: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let mut has: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in meta["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let other = dependency["name"].as_str().unwrap();
            let testkit_in_tests = other == "testkit" && dependency["kind"] == "dev";
            if rooms.contains(other) && !testkit_in_tests {
                has.entry(name.to_owned()).or_default().insert(other.to_owned());
            }
        }
    }
    assert!(has.contains_key("ledger"), "no arrow was found at all");
    assert_eq!(forbidden_arrows(&may, &has), []);
    for banned in ["common", "core", "types", "util"] {
        assert!(!rooms.contains(banned), "no room is called {banned}");
    }
}

#[test]
fn a_forbidden_arrow_is_found() {
    let set = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<BTreeSet<_>>();
    let may = BTreeMap::from([("ledger".to_owned(), set(&["tlog"]))]);
    let has = BTreeMap::from([("ledger".to_owned(), set(&["tlog", "event"]))]);
    assert_eq!(forbidden_arrows(&may, &has), [("ledger".to_owned(), "event".to_owned())]);
}

fn opens_with_duty(text: &str) -> bool {
    text.lines().next().is_some_and(|line| line.starts_with("//! "))
}

#[test]
fn every_module_opens_with_its_duty() {
    assert!(!opens_with_duty("use std::io;\n//! late"));
    for (path, text) in rust_files() {
        assert!(opens_with_duty(&text), "{} does not open with //!", path.display());
    }
}

#[test]
fn sources_are_ascii_and_of_bounded_size() {
    for (path, text) in rust_files() {
        // A raw string cannot be broken over lines.
        let bad = text.lines().position(|l| !l.is_ascii() || (l.len() > LINE_CHARS_MAX && !l.contains("r#\"")));
        assert_eq!(bad, None, "{}: a line (from 0) is not ASCII or longer than {LINE_CHARS_MAX}", path.display());
        let body = text.split("#[cfg(test)]\nmod tests").next().unwrap_or("");
        assert!(body.lines().count() <= MODULE_LINES_MAX, "{} is over {MODULE_LINES_MAX} lines", path.display());
    }
    // Samples are data with a limit of their own: 2 MB in all.
    let (samples, others): (Vec<_>, Vec<_>) =
        tracked().into_iter().partition(|p| p.starts_with(root().join("samples")));
    let total: u64 = samples.iter().map(|p| std::fs::metadata(p).unwrap().len()).sum();
    assert!(total <= SAMPLES_BYTES_MAX, "the samples have {total} bytes");
    for path in others {
        let bytes = std::fs::metadata(&path).unwrap().len();
        assert!(bytes <= FILE_BYTES_MAX, "{} is over {FILE_BYTES_MAX} bytes", path.display());
    }
}

#[test]
fn every_member_takes_the_lints_of_the_workspace() {
    let manifests: Vec<PathBuf> =
        tracked().into_iter().filter(|p| p.ends_with("Cargo.toml") && *p != root().join("Cargo.toml")).collect();
    assert!(manifests.len() >= 9);
    for path in manifests {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("[lints]\nworkspace = true"), "{} has its own lints", path.display());
    }
}

#[test]
fn links_between_pages_lead_somewhere() {
    let pages: Vec<PathBuf> = tracked().into_iter().filter(|p| p.extension().is_some_and(|e| e == "md")).collect();
    let mut links = 0;
    for page in &pages {
        let text = std::fs::read_to_string(page).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or("");
            if file.is_empty() || file.contains("://") {
                continue;
            }
            links += 1;
            assert!(page.parent().unwrap().join(file).exists(), "{}: dead link {target}", page.display());
        }
    }
    assert!(links >= 10, "only {links} links were seen");
}

/// Quoted kinds of an error: what stands behind `=> "` in a `fn kind`, and the codes that refusals are made with.
fn kinds(text: &str) -> BTreeSet<String> {
    let name = |s: &str| s.len() > 3 && s.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    let mut found = BTreeSet::new();
    for (_, body) in text.match_indices("fn kind(").map(|(at, _)| text[at..].split_at(8)) {
        let body = body.split("\n    }\n").next().unwrap();
        found.extend(body.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned));
    }
    for call in ["Refusal::new(", "refused("] {
        for rest in text.split(call).skip(1) {
            let mut arguments = rest.splitn(3, ',').map(str::trim);
            let status = arguments.next().unwrap_or("");
            let code = arguments.next().unwrap_or("").trim_matches('"');
            if status.parse::<u16>().is_ok() && name(code) {
                found.insert(code.to_owned());
            }
        }
    }
    found
}

#[test]
fn every_kind_of_error_has_a_page() {
    let mut all = BTreeSet::new();
    for (path, text) in rust_files() {
        let path = path.to_string_lossy().into_owned();
        let room = ["/journal/src/", "/ledger/src/"].iter().any(|room| path.contains(room));
        if room && !path.contains("test") {
            all.extend(kinds(&text));
        }
    }
    assert!(all.len() > 20, "too few kinds were found: {all:?}");
    let missing: Vec<&String> =
        all.iter().filter(|kind| !root().join("docs/errors").join(format!("{kind}.md")).exists()).collect();
    assert!(missing.is_empty(), "kinds without a page in docs/errors: {missing:?}");
}
