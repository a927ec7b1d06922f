//! A pin file of any bytes: refused, or read and then written so that it opens again.
#![cfg_attr(fuzzing, no_main)]

use std::path::Path;

use proofbook_fuzz::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let disk = testkit::SimDisk::new();
    let path = Path::new("/pin");
    disk.write_file(path, data).unwrap();
    if let Ok(pin) = ledger::Pin::open(&disk.door(), path) {
        let root = tlog::Hash([7; 32]);
        if pin.record("fuzz.example/log", u64::MAX >> 1, &root).is_ok() {
            disk.kill();
            let again = ledger::Pin::open(&disk.door(), path).unwrap();
            assert_eq!(again.last("fuzz.example/log"), Some((u64::MAX >> 1, root)));
        }
    }
});
