//! The few disk calls that durability rests on, behind one trait so that the simulator can stand in for the kernel.
//!
//! Does not know segments, blocks or trees; does not retry and hides no error.

mod os;
mod pages;

pub use os::OsDisk;
pub(crate) use os::yield_to_others;
pub use pages::Pages;

use std::io;
use std::path::Path;
use std::sync::Arc;

/// A folder tree with the calls the ledger makes, and no others.
pub trait Disk: Send + Sync {
    /// Opens an existing file for reading.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens an existing file for reading and writing at offsets.
    fn open_write(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Creates a file that must not exist, for reading and writing. Its name is durable only after `sync_dir`.
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames over whatever stands at `to`. Durable only after `sync_dir` of the folder.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file. Durable only after `sync_dir`.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Creates a folder (parents must exist; an existing folder is fine).
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes names in a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// File and folder names in a folder, sorted. A missing folder is an error.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Whether a file or folder stands at the path.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Bytes that may still be written on the file system of `path`.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
    /// Sets the immutable attribute; an error where the process or file system cannot.
    fn set_immutable(&self, path: &Path) -> io::Result<()>;
    /// Takes the one writer's lock on an existing file, held until the result is dropped; `WouldBlock` if another
    /// holder has it. A simulated disk has one user and needs none.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let _ = path;
        Ok(Box::new(()))
    }
}

/// One open file.
pub trait DiskFile: Send + Sync {
    /// Bytes in the file.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file holds no byte.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Reads exactly `buf.len()` bytes at `offset`; `UnexpectedEof` if the file is shorter.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all slices one after the other at `offset`; after an error the file's content there is unknown.
    fn write_all_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<()>;
    /// `fdatasync`: content and length durable on return.
    fn sync_data(&self) -> io::Result<()>;
    /// Asks the kernel to forget clean cached pages, so that the next read comes from the device. Best effort.
    fn drop_cache(&self);
    /// Reads exactly `len` bytes at `offset` as they lie on the device; errors as `read_exact_at`. For bytes that were
    /// synced.
    fn read_device(&self, pages: &mut Pages, offset: u64, len: usize) -> io::Result<()> {
        self.drop_cache();
        self.read_exact_at(pages.room(len), offset)
    }
}
