//! The data folder as a whole: `FORMAT`, `LOCK`, the list of ledgers and the creation of one.
//!
//! Opens no ledger and knows nothing of `vault/` and `views/` but their names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::durable::Disk;
use crate::error::OpenError;
use crate::types::About;

/// A data folder whose lock we hold.
pub struct DataFolder {
    path: PathBuf,
    fresh: bool,
}

impl DataFolder {
    /// Opens a data folder, or makes one where `path` is missing or empty: takes the lock (held until drop), checks
    /// `FORMAT`, makes `ledgers/`, `vault/`, `views/`, removes unfinished ledgers. Blocking.
    pub fn open(disk: &Arc<dyn Disk>, path: &Path) -> Result<DataFolder, OpenError> {
        let _ = (disk, path);
        Err(OpenError::Refused("not built yet"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// It was empty: just made.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// What each ledger is, sorted by folder name.
    pub fn ledgers(&self) -> Result<Vec<About>, OpenError> {
        Ok(Vec::new())
    }

    /// Makes a ledger's folder; returned = durable. Open it afterwards.
    pub fn create_ledger(&self, about: &About) -> Result<(), OpenError> {
        let _ = about;
        Err(OpenError::Refused("not built yet"))
    }
}
