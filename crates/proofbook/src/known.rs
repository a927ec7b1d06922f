//! The known-ledgers file: what this machine has seen of each ledger, like `known_hosts`.
//!
//! Remembers origin, keys and last verified checkpoint by ledger URL; decides nothing about a server's honesty.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What is remembered of one ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) origin: String,
    pub(crate) vkeys: Vec<String>,
    pub(crate) checkpoint: Option<String>,
}

/// The whole file.
pub(crate) struct KnownLedgers {
    path: PathBuf,
    all: Map<String, Value>,
}

/// The user's state folder for Proofbook.
pub(crate) fn state_dir() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_STATE_HOME") {
        Some(dir) if Path::new(&dir).is_absolute() => PathBuf::from(dir),
        _ => PathBuf::from(
            std::env::var_os("HOME").context("neither HOME nor XDG_STATE_HOME is set; name the file by its flag")?,
        )
        .join(".local")
        .join("state"),
    };
    Ok(base.join("proofbook"))
}

impl KnownLedgers {
    /// Reads the file; an absent one is empty.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self> {
        let path = match path {
            Some(p) => p.to_owned(),
            None => state_dir()?.join("known_ledgers.json"),
        };
        let all = match std::fs::metadata(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Map::new(),
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
            Ok(meta) if meta.len() > FILE_BYTES_MAX => {
                bail!("{} is larger than {FILE_BYTES_MAX} bytes", path.display())
            }
            Ok(_) => {
                let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                match serde_json::from_slice(&text) {
                    Ok(Value::Object(map)) => map,
                    // Never start over silently: an attacker who can spoil the file would make us trust anew.
                    _ => bail!("{} is damaged; restore it, or remove it to trust servers anew", path.display()),
                }
            }
        };
        Ok(Self { path, all })
    }

    pub(crate) fn get(&self, url: &str) -> Option<Known> {
        let said = self.all.get(url)?;
        Some(Known {
            origin: said.get("origin")?.as_str()?.to_owned(),
            vkeys: said.get("vkeys")?.as_array()?.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
            checkpoint: said.get("checkpoint").and_then(Value::as_str).map(str::to_owned),
        })
    }

    /// What is remembered of a log by its origin, whatever its URL.
    pub(crate) fn by_origin(&self, origin: &str) -> Option<Known> {
        self.all.keys().filter_map(|url| self.get(url)).find(|known| known.origin == origin)
    }

    /// Remembers and writes the file (temporary file, sync, rename).
    pub(crate) fn put(&mut self, url: &str, known: &Known) -> Result<()> {
        let entry = json!({"origin": known.origin, "vkeys": known.vkeys, "checkpoint": known.checkpoint});
        self.all.insert(url.to_owned(), entry);
        let text = serde_json::to_string_pretty(&self.all).context("cannot write JSON")? + "\n";
        write_whole(&self.path, text.as_bytes())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Replaces a file as a whole: a crash leaves the old one or the new one.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let tmp = dir.join(format!(".{name}.{}.tmp", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(&tmp)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&tmp, path)?;
        std::fs::File::open(dir)?.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]
    use super::{Known, KnownLedgers};

    #[test]
    fn remembers_and_refuses_a_damaged_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known.json");
        let known =
            Known { origin: "o/logs/main".into(), vkeys: vec!["o+00+AA".into()], checkpoint: Some("text\n".into()) };
        let mut all = KnownLedgers::open(Some(&file)).unwrap();
        assert_eq!(all.get("http://x/logs/main"), None);
        all.put("http://x/logs/main", &known).unwrap();
        assert_eq!(KnownLedgers::open(Some(&file)).unwrap().get("http://x/logs/main"), Some(known));
        std::fs::write(&file, b"{").unwrap();
        assert!(KnownLedgers::open(Some(&file)).is_err());
    }
}
