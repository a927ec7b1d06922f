//! The kernel's file calls behind [`Disk`]: positioned vectored writes, `fdatasync`, synced folders.
//!
//! Retries nothing but an interrupted call; keeps no state beside open descriptors.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustix::fs::{Advice, IFlags, OFlags};

use super::{Disk, DiskFile, Pages};

/// Slices that one `pwritev` takes (IOV_MAX).
const SLICES_MAX: usize = 1024;

/// The lowest priority there is.
const NICE: i32 = 19;

/// The real disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsDisk;

/// An open file of the real disk. The descriptor stays open while the file may be dirty: a reopened file can lose
/// the error of a failed write-back.
struct OsFile {
    file: File,
    /// The same file past the cache, from the first such read on; `None` where the system has no such thing.
    direct: OnceLock<Option<File>>,
}

impl OsFile {
    fn open(options: &OpenOptions, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(OsFile { file: options.open(path)?, direct: OnceLock::new() }))
    }

    /// By its descriptor, because it may have got another name since it was opened.
    fn direct(&self) -> Option<&File> {
        let open = || {
            let flags = i32::try_from(OFlags::DIRECT.bits()).ok()?;
            let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            OpenOptions::new().read(true).custom_flags(flags).open(path).ok()
        };
        self.direct.get_or_init(open).as_ref()
    }
}

impl Disk for OsDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        OsFile::open(OpenOptions::new().read(true), path)
    }

    fn open_write(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        OsFile::open(OpenOptions::new().read(true).write(true), path)
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        OsFile::open(OpenOptions::new().read(true).write(true).create_new(true).mode(0o640), path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        match fs::DirBuilder::new().mode(0o750).create(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            other => other,
        }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            // A name that is not UTF-8 is none of ours; it is listed in a form that no reader takes for one.
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn set_immutable(&self, path: &Path) -> io::Result<()> {
        let file = File::open(path)?;
        let flags = rustix::fs::ioctl_getflags(&file)?;
        Ok(rustix::fs::ioctl_setflags(&file, flags | IFlags::IMMUTABLE)?)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        lock_ofd(&file)?;
        // Somebody may take the file for a stale one and remove it; the folder stays the same folder while it is used.
        let folder = File::open(path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
        match lock_ofd(&folder) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
            // A file system that locks no folders leaves us the file alone.
            Err(_) | Ok(()) => {}
        }
        Ok(Box::new((file, folder)))
    }
}

impl DiskFile for OsFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    fn write_all_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> = parts.iter().filter(|p| !p.is_empty()).map(|p| IoSlice::new(p)).collect();
        let mut rest: &mut [IoSlice<'_>] = &mut slices;
        let mut at = offset;
        while !rest.is_empty() {
            let some = rest.get(..rest.len().min(SLICES_MAX)).unwrap_or(rest);
            match rustix::io::pwritev(&self.file, some, at) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    at += n as u64;
                    IoSlice::advance_slices(&mut rest, n);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(rustix::fs::fdatasync(&self.file)?)
    }

    fn drop_cache(&self) {
        // Advice only: where the kernel keeps the pages, the next read is served from memory.
        let _ = rustix::fs::fadvise(self.file.as_fd(), 0, None, Advice::DontNeed);
    }

    fn read_device(&self, pages: &mut Pages, offset: u64, len: usize) -> io::Result<()> {
        if let Some(direct) = self.direct() {
            let (from, room) = pages.aligned_room(offset, len);
            let needed = usize::try_from(offset - from).unwrap_or(0) + len;
            match read_up_to(direct, room, from, needed) {
                // Past the cache is not how this file system reads.
                Err(e) if e.kind() == io::ErrorKind::InvalidInput => {}
                other => return other,
            }
        }
        self.drop_cache();
        self.read_exact_at(pages.room(len), offset)
    }
}

/// Reads whole pages until `needed` bytes are there; the file may end within the last one.
fn read_up_to(file: &File, room: &mut [u8], from: u64, needed: usize) -> io::Result<()> {
    let mut have = 0;
    while have < needed {
        match file.read_at(room.get_mut(have..).unwrap_or_default(), from + have as u64) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => have += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Lets every other thread go first. Advice only.
pub(crate) fn yield_to_others() {
    // On Linux a priority belongs to a thread, named by its number.
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
}

/// An exclusive lock of the open file description on the whole file: it does not belong to the process, so a second
/// open in the same process is refused as well, and closing another descriptor of the file does not drop it.
fn lock_ofd(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        Err(fs::TryLockError::Error(e)) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn writes_many_slices_and_reads_them_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let file = OsDisk.create_new(&path).unwrap();
        let parts: Vec<Vec<u8>> = (0..3000u32).map(|i| i.to_be_bytes().to_vec()).collect();
        let refs: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        file.write_all_at(&[b"head"], 0).unwrap();
        file.write_all_at(&refs, 4).unwrap();
        file.sync_data().unwrap();
        file.drop_cache();
        assert_eq!(file.len().unwrap(), 4 + 12_000);
        let mut back = vec![0; 12_000];
        file.read_exact_at(&mut back, 4).unwrap();
        assert_eq!(back, parts.concat());
        assert_eq!(file.read_exact_at(&mut back, 5).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let mut pages = Pages::default();
        for (offset, len) in [(4, 12_000), (0, 4), (4_095, 2), (12_003, 1), (8_000, 4_004)] {
            file.read_device(&mut pages, offset, len).unwrap();
            let whole = [&b"head"[..], &parts.concat()].concat();
            let offset = usize::try_from(offset).unwrap();
            assert_eq!(pages.bytes(), &whole[offset..offset + len]);
        }
        let short = file.read_device(&mut pages, 12_003, 2).unwrap_err();
        assert_eq!(short.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_second_holder_of_the_lock_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        OsDisk.create_new(&path).unwrap();
        let held = OsDisk.lock(&path).unwrap();
        assert_eq!(OsDisk.lock(&path).err().unwrap().kind(), io::ErrorKind::WouldBlock);
        drop(held);
        OsDisk.lock(&path).unwrap();
    }

    #[test]
    fn an_existing_folder_is_fine_and_a_file_in_its_place_is_not() {
        let dir = tempfile::tempdir().unwrap();
        OsDisk.create_dir(&dir.path().join("d")).unwrap();
        OsDisk.create_dir(&dir.path().join("d")).unwrap();
        OsDisk.create_new(&dir.path().join("f")).unwrap();
        OsDisk.create_dir(&dir.path().join("f")).unwrap_err();
        assert!(OsDisk.free_bytes(dir.path()).unwrap() > 0);
        assert_eq!(OsDisk.list(dir.path()).unwrap(), ["d", "f"]);
    }
}
