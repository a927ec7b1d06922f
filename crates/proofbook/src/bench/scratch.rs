//! A fresh folder that is removed when the measurement ends.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

/// Removes its folder when dropped.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// A fresh folder inside `parent`.
    pub(super) fn new(parent: &Path) -> Result<Scratch> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("proofbook-bench-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Scratch(path.canonicalize()?))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed stays for its owner to see; the figures are true all the same.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
