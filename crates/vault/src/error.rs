//! Errors of the vault: each names a file, none holds a key.

use std::io;
use std::path::{Path, PathBuf};

/// Why a key could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A key that the log needs is not there.
    #[error("the key file {} is missing", .0.display())]
    Missing(PathBuf),
    /// A file that is no whole key file, or whose check sum fails.
    #[error("the key file {} is damaged: {what}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// A file or folder that others may read.
    #[error("{} has mode {mode:o}; a key may be readable by its owner alone", .path.display())]
    Exposed {
        /// The file or folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A key of that name exists already.
    #[error("the key file {} exists already", .0.display())]
    Exists(PathBuf),
    /// A name that cannot be a key file's.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// A file call failed.
    #[error("{call} {}", .path.display())]
    Io {
        /// The call.
        call: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io(call: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
        let path = path.to_path_buf();
        move |source| Error::Io { call, path, source }
    }
}
