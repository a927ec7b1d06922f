//! The real clock, randomness and the few files that the server itself touches. The only module that makes them.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

pub use journal::OpenError;
use journal::{Doors, Journal, OpenReport, Options, Secret};

use crate::config::Config;

/// Name of the file that holds the first token.
pub const BOOTSTRAP_FILE: &str = "bootstrap.token";

/// Nanoseconds since 1970, by the system's clock.
#[expect(clippy::disallowed_methods, reason = "the one place where the clock is made")]
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

/// The real clock, randomness and disk.
pub fn doors() -> Doors {
    Doors { clock: clock(), random: random(), disk: Arc::new(ledger::durable::OsDisk) }
}

fn options(config: &Config) -> Options {
    Options {
        data: config.data.clone(),
        host: config.host.clone(),
        pin: config.pin.clone(),
        accept_first_start: config.accept_first_start,
        ledger: config.ledger.clone(),
    }
}

/// Opens or sets up the data folder. Blocking. On a fresh folder the first token is on disk when this has returned.
pub fn open(config: &Config) -> Result<(Journal, OpenReport), OpenError> {
    let (journal, report) = Journal::open(options(config), doors())?;
    if let Some(secret) = &report.bootstrap {
        write_bootstrap(&config.data, secret.expose())
            .map_err(|e| OpenError::Unavailable(format!("{BOOTSTRAP_FILE} cannot be written: {e}")))?;
    }
    Ok((journal, report))
}

/// Makes a new admin token for a folder whose server is stopped; leaves an entry. Blocking.
pub fn reset_admin_token(config: &Config) -> Result<(Secret, Vec<String>), OpenError> {
    Journal::reset_admin_token(options(config), doors())
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_first_token_is_for_its_owner_alone_and_is_not_overwritten() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        write_bootstrap(folder.path(), "secret")?;
        let path = folder.path().join(BOOTSTRAP_FILE);
        assert_eq!(std::fs::read_to_string(&path)?, "secret\n");
        assert_eq!(std::fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
        assert!(write_bootstrap(folder.path(), "other").is_err());
        remove_bootstrap(folder.path());
        assert!(!path.exists());
        remove_bootstrap(folder.path());
        Ok(())
    }
}
