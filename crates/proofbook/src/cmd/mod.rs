//! One module a subcommand (or a family of them): resolves its flags, asks, prints.

pub(crate) mod admin;
pub(crate) mod export;
pub(crate) mod folder;
pub(crate) mod ingest;
pub(crate) mod pieces;
pub(crate) mod read;
pub(crate) mod up;
pub(crate) mod verify;
