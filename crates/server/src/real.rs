//! The real clock, randomness and the few files that the server itself touches. The only module that makes them.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Name of the file that holds the first token.
pub const BOOTSTRAP_FILE: &str = "bootstrap.token";

/// Nanoseconds since 1970, by the system's clock.
pub fn clock() -> ledger::Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

/// A source of random bytes.
pub type Random = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// Fills with the system's random bytes. Panics if the system has none: nothing may go on with a guessed secret.
pub fn random() -> Random {
    Arc::new(|out| {
        if aws_lc_rs::rand::fill(out).is_err() {
            panic!("the system gives no random bytes");
        }
    })
}

/// Writes the first token for its owner alone; refuses to overwrite.
pub fn write_bootstrap(data: &Path, secret: &str) -> std::io::Result<()> {
    let path = data.join(BOOTSTRAP_FILE);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(secret.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// Removes the first token, once another admin token is in use.
pub(crate) fn remove_bootstrap(data: &Path) {
    match std::fs::remove_file(data.join(BOOTSTRAP_FILE)) {
        Ok(()) => tracing::info!("another admin token is in use: bootstrap.token was removed"),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => tracing::warn!(error = %e, "bootstrap.token could not be removed"),
    }
}
