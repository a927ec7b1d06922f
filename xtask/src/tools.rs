//! The real programs that tests need beside a compiler: looked for, installed where that is allowed, else left out
//! aloud. Knows nothing of the tests but what is lost without them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::run::{minutes, run, works};

/// Whether a tool works is answered within this time.
const ASK_LIMIT: Duration = Duration::from_secs(20);
/// Longest installation.
const INSTALL_LIMIT: Duration = minutes(5);

/// A program that tests need, also the name of its Debian package.
struct Tool {
    name: &'static str,
    /// Arguments with which it succeeds where it does what the tests ask of it.
    probe: &'static [&'static str],
    lost: &'static str,
}

const TOOLS: [Tool; 2] = [
    Tool {
        name: "strace",
        probe: &["-qq", "-e", "trace=getuid", "-e", "inject=getuid:error=EPERM", "true"],
        lost: "no disk call of the shipped binary was made to fail",
    },
    Tool {
        name: "python3",
        probe: &["-c", "import hashlib, json, zlib"],
        lost: "nothing was judged by a second verifier",
    },
];

/// What tests will do without.
#[derive(Default)]
pub(crate) struct Without {
    tools: Vec<&'static str>,
    lines: Vec<String>,
}

/// Looks for all, and installs what is not there.
///
/// Never an error: what is absent here can neither be installed here (no right, no network) nor made to work (a kernel
/// that forbids tracing). Tests that miss a tool which is not among these fail in continuous integration.
pub(crate) fn prepare() -> Without {
    let mut without = Without::default();
    for tool in &TOOLS {
        if let Err(why) = have(tool) {
            without.lines.push(format!("{}: {} ({why})", tool.name, tool.lost));
            without.tools.push(tool.name);
        }
    }
    // As the tests look for it.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let shared = std::env::var_os("PROOFBOOK_SHARED").map_or_else(|| root.join("../shared"), Into::into);
    if !shared.join("data").is_dir() {
        let lost = "no recorded events but those in samples/ were read (there is no ../shared/data)";
        without.lines.push(format!("real data: {lost}"));
    }
    without.tell();
    without
}

impl Without {
    /// Says what is left out.
    pub(crate) fn tell(&self) {
        self.lines.iter().for_each(|line| eprintln!("SKIPPED: {line}"));
    }

    /// What tests are told.
    pub(crate) fn env(&self) -> (&'static str, String) {
        ("PROOFBOOK_WITHOUT", self.tools.join(" "))
    }

    pub(crate) fn has(&self, tool: &str) -> bool {
        !self.tools.contains(&tool)
    }
}

fn have(tool: &Tool) -> Result<(), String> {
    let probe = || works(Command::new(tool.name).args(tool.probe), ASK_LIMIT);
    if probe() {
        return Ok(());
    }
    if works(Command::new(tool.name).arg("--version"), ASK_LIMIT) {
        return Err("it is installed and not allowed to work".to_owned());
    }
    install(tool.name)?;
    if probe() { Ok(()) } else { Err("installed now, and it does not work".to_owned()) }
}

/// Installs a Debian package, by root alone or where sudo asks nothing.
fn install(package: &str) -> Result<(), String> {
    if !works(Command::new("apt-get").arg("--version"), ASK_LIMIT) {
        return Err("not installed, and there is no apt-get".to_owned());
    }
    let root = rustix::process::geteuid().is_root();
    if !root && !works(Command::new("sudo").args(["-n", "true"]), ASK_LIMIT) {
        return Err("not installed, and only root may install it".to_owned());
    }
    let apt = |args: &[&str]| {
        let mut command = Command::new(if root { "apt-get" } else { "sudo" });
        if !root {
            command.args(["-n", "apt-get"]);
        }
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
        run(&mut command, INSTALL_LIMIT)
    };
    let get = ["install", "-y", "--no-install-recommends", package];
    // Lists of packages may be absent or old.
    let got = apt(&get).or_else(|_| apt(&["update"]).and_then(|()| apt(&get)));
    got.map_err(|error| format!("it cannot be installed: {error:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_had_is_named() {
        let tool = Tool { name: "no-such-program-of-ours", probe: &[], lost: "nothing" };
        assert!(!works(Command::new(tool.name).args(tool.probe), ASK_LIMIT));
        let without = Without { tools: vec!["strace", "python3"], lines: Vec::new() };
        assert_eq!(without.env(), ("PROOFBOOK_WITHOUT", "strace python3".to_owned()));
        assert!(!without.has("strace") && without.has("perl"));
        let refused = Tool { name: "cargo", probe: &["no-such-command"], lost: "nothing" };
        // What is there and refuses is not installed anew.
        assert!(have(&refused).is_err());
    }
}
