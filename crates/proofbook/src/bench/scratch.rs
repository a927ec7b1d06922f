//! A fresh folder that is removed when the measurement ends, sealed files that are immutable included.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use rustix::fs::IFlags;

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
        if std::fs::remove_dir_all(&self.0).is_ok() {
            return;
        }
        // What cannot be removed even so stays for its owner to see; the figures are true all the same.
        let _ = make_mutable(&self.0).and_then(|()| std::fs::remove_dir_all(&self.0));
    }
}

/// Takes the immutable attribute off all files below a folder.
fn make_mutable(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            make_mutable(&entry.path())?;
        } else if kind.is_file() {
            let file = std::fs::File::open(entry.path())?;
            let flags = rustix::fs::ioctl_getflags(&file)?;
            rustix::fs::ioctl_setflags(&file, flags - IFlags::IMMUTABLE)?;
        }
    }
    Ok(())
}
