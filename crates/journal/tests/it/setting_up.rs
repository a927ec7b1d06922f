//! The first set-up and the creation of a ledger, cut short at every call to the disk.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use journal::{Journal, NewLedger, Scope};
use ledger::Kind;
use ledger::durable::{Disk, DiskFile, OsDisk};

use crate::rig::{Rig, append, index};

/// The real disk until its calls that change something are used up.
struct Failing {
    left: Arc<AtomicU64>,
}

fn spend(left: &AtomicU64) -> io::Result<()> {
    let took = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
    took.map(|_| ()).map_err(|_| io::Error::other("the power is gone"))
}

struct FailingFile {
    file: Arc<dyn DiskFile>,
    left: Arc<AtomicU64>,
}

impl DiskFile for FailingFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }
    fn write_all_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<()> {
        spend(&self.left)?;
        self.file.write_all_at(parts, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        spend(&self.left)?;
        self.file.sync_data()
    }
    fn drop_cache(&self) {
        self.file.drop_cache();
    }
}

impl Failing {
    fn wrap(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(FailingFile { file, left: Arc::clone(&self.left) })
    }
}

impl Disk for Failing {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        OsDisk.open(path).map(|f| self.wrap(f))
    }
    fn open_write(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        OsDisk.open_write(path).map(|f| self.wrap(f))
    }
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        spend(&self.left)?;
        OsDisk.create_new(path).map(|f| self.wrap(f))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        spend(&self.left)?;
        OsDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        spend(&self.left)?;
        OsDisk.remove(path)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        spend(&self.left)?;
        OsDisk.create_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        spend(&self.left)?;
        OsDisk.sync_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        OsDisk.list(path)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        OsDisk.exists(path)
    }
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        OsDisk.free_bytes(path)
    }
    fn set_immutable(&self, path: &Path) -> io::Result<()> {
        OsDisk.set_immutable(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        OsDisk.lock(path)
    }
}

/// Every call in a deep run, some in a quick one.
fn step() -> usize {
    if std::env::var("PROOFBOOK_COUNTS").is_ok_and(|c| c == "ci") { 1 } else { 7 }
}

#[test]
fn a_first_set_up_that_was_cut_short_anywhere_is_finished_by_the_next_start() {
    let mut cut = 0;
    for calls in (0..2_000).step_by(step()) {
        let rig = Rig::new();
        let disk = Arc::new(Failing { left: Arc::new(AtomicU64::new(calls)) });
        let whole = match Journal::open(rig.options(), rig.doors(disk)) {
            Ok((journal, _)) => {
                let _ = journal.close();
                true
            }
            Err(_) => false,
        };
        cut += u64::from(!whole);
        let (journal, report) = rig.try_open().unwrap_or_else(|e| panic!("cut after {calls} calls: {e}"));
        let names: Vec<String> = journal.status().ledgers.into_iter().map(|l| l.info.name).collect();
        assert_eq!(names, ["access", "control", "main", "output"], "cut after {calls} calls");
        if let Some(secret) = report.bootstrap {
            let admin = journal.authenticate(secret.expose()).unwrap();
            index(&append(&journal, &admin, "main", r#"{"action":"a"}"#)[0]);
        }
        journal.close().unwrap();
        if whole {
            break;
        }
    }
    assert!(cut > 10, "the set-up was cut {cut} times");
}

#[test]
fn a_ledger_whose_creation_was_cut_short_anywhere_is_whole_or_not_there() {
    let rig = Rig::new();
    let (journal, admin) = rig.fresh();
    journal.close().unwrap();
    drop(journal);
    for (n, calls) in (0..400).step_by(step()).enumerate() {
        let left = Arc::new(AtomicU64::new(u64::MAX));
        let disk = Arc::new(Failing { left: Arc::clone(&left) });
        let (journal, _) = Journal::open(rig.options(), rig.doors(disk)).unwrap();
        let name = format!("l{n}");
        let new =
            NewLedger { name: name.clone(), kind: Kind::Audit, retention: Some("hipaa".into()), public_leaves: true };
        left.store(calls, Ordering::SeqCst);
        let made = journal.create_ledger(&admin, new).is_ok();
        let _ = journal.close();
        drop(journal);
        let (journal, _) = rig.try_open().unwrap_or_else(|e| panic!("cut after {calls} calls: {e}"));
        let found = journal.ledger_info(&Scope::of(&admin), &name);
        assert!(found.is_ok() || !made, "acknowledged and gone after {calls} calls");
        if found.is_ok() {
            index(&append(&journal, &admin, &name, r#"{"action":"a"}"#)[0]);
        }
        journal.close().unwrap();
        if made {
            return;
        }
    }
    panic!("the creation never succeeded");
}
