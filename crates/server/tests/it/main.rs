//! The server over real sockets, with a log in memory behind it.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]
#![expect(clippy::disallowed_methods, reason = "files that only a test reads")]
#![expect(clippy::cast_possible_truncation, reason = "small numbers")]
#![expect(clippy::result_large_err, reason = "the doors of journal are as they are")]

mod append;
mod client;
mod double;
mod hoarding;
mod reading;
mod rights;
mod transport;

use std::sync::Arc;

use double::Double;
use server::{Config, ConfigFile, Log, Running};

pub(crate) fn config() -> Config {
    ConfigFile::new("data".into(), "127.0.0.1:0".parse().unwrap(), "state".into()).resolve().unwrap()
}

pub(crate) async fn start() -> (Running, Arc<Double>) {
    start_with(&config()).await
}

pub(crate) async fn start_with(config: &Config) -> (Running, Arc<Double>) {
    let double = Double::new();
    let log: Arc<dyn Log> = Arc::<Double>::clone(&double);
    (server::serve(config, log, server::real::clock()).await.unwrap(), double)
}
