//! Composition root: configuration, authentication, authorization, HTTP API.
//!
//! Every request passes one choke point ([`app`]) by the row of its route ([`routes`]); handlers are reached no other
//! way. Parses no event and decides nothing about the log: that is behind [`Log`]. Makes the real clock, randomness and
//! sockets, in `real` and `listen` alone.

#![expect(clippy::result_large_err, reason = "a refusal is made at most once a request; a box would only hide it")]

mod admin;
mod app;
mod config;
mod decode;
mod events;
pub mod limits;
mod listen;
mod log;
mod logs;
mod memory;
mod metrics;
mod openapi;
mod ops;
mod patient;
mod problem;
mod query;
mod quota;
mod reads;
pub mod real;
mod results;
mod routes;
mod seats;
mod tail;
mod tls;

pub use config::{Config, ConfigError, ConfigFile, Connections, TlsFiles, Transport};
pub use event::{body_digest, terminal_safe};
pub use listen::{Running, ServeError, serve};
pub use log::{Log, Shown};
pub use tls::TlsError;
