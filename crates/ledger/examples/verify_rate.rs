//! Measures how fast a whole data folder is judged: writes one, judges it, and compares with the machine's SHA-256.
//!
//! `cargo run --release -p ledger --example verify_rate -- [ENTRIES] [THREADS] [FOLDER]`; the folder is kept if named.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};
use ledger::Kind;
use ledger::durable::{Disk, OsDisk};
use ledger::verify::verify_folder;
use testkit::folder::{self, Folder};

/// About what an event of 512 bytes becomes.
const BODY_BYTES: usize = 760;
const BLOCK_ENTRIES: u64 = 4096;
const SEGMENT_BYTES: u64 = 64 << 20;
const RUNS: usize = 3;

fn main() {
    let mut args = std::env::args().skip(1);
    let entries: u64 = args.next().map_or(500_000, |text| text.parse().unwrap());
    let threads = args.next().map_or(2, |text| text.parse().unwrap());
    let temporary = tempfile::tempdir().unwrap();
    let at = args.next().map_or(temporary.path().to_path_buf(), PathBuf::from);
    let (data, pin) = (at.join("data"), at.join("pin"));
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    if !data.exists() {
        std::fs::create_dir_all(&at).unwrap();
        write(&disk, &at, entries);
    }
    let cpu = cpu_seconds();
    let (raw, bytes) = sha_rate(threads);
    let raw_cpu = bytes / (cpu_seconds() - cpu);
    println!(
        "SHA-256 of 1 KiB pieces on {threads} threads: {:.0} MB/s; {:.0} MB a second of CPU time",
        raw / 1e6,
        raw_cpu / 1e6
    );
    for _ in 0..RUNS {
        let options = folder::options(Some(&pin), threads);
        let (start, cpu) = (Instant::now(), cpu_seconds());
        let report = verify_folder(&disk, &data, &options, &|_| {}).unwrap();
        let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        assert_eq!(report.findings, [], "the folder is whole");
        let size = report.ledgers.first().unwrap().size;
        let hashed = bytes_hashed(&data, size);
        println!(
            "{size} entries in {seconds:.2} s: {:.0} entries/s, {:.0} % of SHA-256; {cpu:.2} s of CPU time: {:.0} \
             entries/s on {threads} cores of its own, {:.0} % of SHA-256",
            size as f64 / seconds,
            hashed / seconds / raw * 100.0,
            size as f64 / cpu * threads as f64,
            hashed / cpu / raw_cpu * 100.0
        );
    }
}

fn write(disk: &Arc<dyn Disk>, at: &Path, entries: u64) {
    let start = Instant::now();
    let mut folder = Folder::create(disk, &at.join("data"), &at.join("pin"), Kind::Audit, SEGMENT_BYTES).unwrap();
    while folder.size() < entries {
        folder.append(BLOCK_ENTRIES.min(entries - folder.size()), BODY_BYTES).unwrap();
        if folder.size().is_multiple_of(1 << 17) {
            folder.checkpoint().unwrap();
            folder.seal().unwrap();
        }
    }
    folder.checkpoint().unwrap();
    folder.seal().unwrap();
    let made = testkit::audit::entry(0, BODY_BYTES);
    println!(
        "{entries} entries (leaf {} bytes, body {}) written and sealed in {:.1} s",
        made.leaf.len(),
        made.body.len(),
        start.elapsed().as_secs_f64()
    );
}

/// What must be hashed whatever the code does: leaves, bodies, nodes, and every stored byte once.
fn bytes_hashed(data: &Path, size: u64) -> f64 {
    let made = testkit::audit::entry(0, BODY_BYTES);
    let each = 1 + made.leaf.len() + made.body.len() + 65;
    let sealed = data.join("ledgers").join(folder::ULID).join("sealed");
    let stored: u64 = std::fs::read_dir(sealed).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    (size * each as u64 + stored) as f64
}

/// SHA-256 over pieces of the size of a body and its leaf, all threads together: bytes a second, and bytes.
fn sha_rate(threads: usize) -> (f64, f64) {
    const PIECES: usize = 1 << 20;
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut piece = [7_u8; 1024];
                for n in 0..PIECES {
                    let found = digest(&SHA256, &piece);
                    // Each piece follows from the one before, so that none is left out.
                    piece[n % 1024] ^= found.as_ref().first().copied().unwrap_or(0);
                }
            });
        }
    });
    let bytes = (threads * PIECES * 1024) as f64;
    (bytes / start.elapsed().as_secs_f64(), bytes)
}

/// CPU time of this process so far: what a busy machine leaves of a core does not change it much.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> = stat.rsplit(')').next().unwrap_or("").split(' ').filter_map(|f| f.parse().ok()).collect();
    // proc(5): utime and stime are fields 14 and 15, in hundredths of a second; state, the third, is no number.
    fields.get(10..12).map_or(0.0, |times| times.iter().sum::<f64>() / 100.0)
}
