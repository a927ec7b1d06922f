//! The pin: last published size and root of each ledger, outside the data folder (docs/formats/data-folder.md).

use std::path::Path;
use std::sync::Arc;

use tlog::Hash;

use crate::durable::Disk;
use crate::error::OpenError;

/// One pin file, shared by all ledgers of a data folder.
pub struct Pin {}

impl Pin {
    /// Opens the pin file, or creates it where none exists.
    pub fn open(_disk: &Arc<dyn Disk>, _path: &Path) -> Result<Pin, OpenError> {
        Ok(Pin {})
    }

    /// Last published size and root of an origin.
    pub fn last(&self, _origin: &str) -> Option<(u64, Hash)> {
        None
    }

    /// Records and syncs; returned = synced.
    pub fn record(&self, _origin: &str, _size: u64, _root: &Hash) -> Result<(), OpenError> {
        Err(OpenError::Refused("the pin is not built yet"))
    }
}
