//! A checkpoint log of any bytes: refused, or opened and appended to so that it opens again.
#![cfg_attr(fuzzing, no_main)]

use std::path::Path;

use proofbook_fuzz::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let disk = testkit::SimDisk::new();
    let dir = Path::new("/checkpoints");
    disk.make_dir(dir).unwrap();
    // A leading byte below 128 puts a history beside the log.
    let (log, history) = match data.split_first() {
        Some((first, rest)) if *first < 128 => rest.split_at(rest.len() * usize::from(*first) / 128),
        Some((_, rest)) => (rest, [].as_slice()),
        None => return,
    };
    disk.write_file(&dir.join("0000000000000001.log"), log).unwrap();
    disk.write_file(&dir.join("history.log"), history).unwrap();
    if let Ok(mut log) = ledger::CheckpointLog::open(&disk.door(), dir)
        && log.append("a note\n").is_ok()
    {
        disk.kill();
        let again = ledger::CheckpointLog::open(&disk.door(), dir).unwrap();
        assert_eq!(again.last(), Some("a note\n"));
    }
});
