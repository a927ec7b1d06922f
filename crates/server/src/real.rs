//! The real clock, randomness and the few files that the server itself touches. The only module that makes them.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

pub use journal::OpenError;
use journal::{Doors, Journal, OpenReport, Options, Secret};

use crate::config::Config;
use crate::limits::DESCRIPTORS_WANTED;

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

/// Opens or sets up the data folder. Blocking. A first token is on disk before it is valid; the file of one whose
/// life has ended is not there when this has returned.
pub fn open(config: &Config) -> Result<(Journal, OpenReport), OpenError> {
    // Before the first of many files.
    descriptors();
    let keep = |secret: &Secret| {
        write_bootstrap(&config.data, secret.expose())
            .map_err(|e| std::io::Error::new(e.kind(), format!("{BOOTSTRAP_FILE}: {e}")))
    };
    let (journal, report) = Journal::open_keeping(options(config), doors(), &keep)?;
    if report.bootstrap_ended {
        remove_bootstrap(&config.data);
    }
    Ok((journal, report))
}

/// Descriptors that this process may open, after asking for as many as it may have: many systems start with 1,024.
pub(crate) fn descriptors() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(DESCRIPTORS_WANTED).min(DESCRIPTORS_WANTED);
    if limit.current.is_some_and(|now| now < wanted) {
        // Failing, the ones at hand have to do.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum });
    }
    getrlimit(Resource::Nofile).current.unwrap_or(DESCRIPTORS_WANTED)
}

/// Makes a new admin token for a folder whose server is stopped; leaves an entry. Blocking.
pub fn reset_admin_token(config: &Config) -> Result<(Secret, Vec<String>), OpenError> {
    Journal::reset_admin_token(options(config), doors())
}

/// Writes the first token for its owner alone, whole or not at all; returned = durable. Replaces one that a crash left
/// behind before its token was valid.
pub fn write_bootstrap(data: &Path, secret: &str) -> std::io::Result<()> {
    let unfinished = data.join(format!("{BOOTSTRAP_FILE}.tmp"));
    match std::fs::remove_file(&unfinished) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(format!("{secret}\n").as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&unfinished, data.join(BOOTSTRAP_FILE))?;
    std::fs::File::open(data)?.sync_all()
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
    #![expect(clippy::disallowed_methods, reason = "what a crash left, made here")]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_first_token_is_for_its_owner_alone() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        write_bootstrap(folder.path(), "secret")?;
        let path = folder.path().join(BOOTSTRAP_FILE);
        assert_eq!(std::fs::read_to_string(&path)?, "secret\n");
        assert_eq!(std::fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
        // A crash left both: a later start makes another token.
        std::fs::write(folder.path().join("bootstrap.token.tmp"), "pb_")?;
        write_bootstrap(folder.path(), "other")?;
        assert_eq!(std::fs::read_to_string(&path)?, "other\n");
        assert_eq!(std::fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
        remove_bootstrap(folder.path());
        assert!(!path.exists());
        remove_bootstrap(folder.path());
        Ok(())
    }
}
