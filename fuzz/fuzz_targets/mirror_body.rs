//! Bodies that a mirror is sent, and what it answers.
#![cfg_attr(fuzzing, no_main)]

use proofbook_fuzz::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(upload) = tlog::mirror::AddEntries::parse(data) {
        let mut out = Vec::new();
        assert!(upload.header.write(&mut out));
        assert!(upload.packages.iter().all(|package| package.write(&mut out)));
        assert!(data.starts_with(&out));
        let _ = tlog::mirror::decide_upload(&upload.header, None);
    }
    if let Ok(info) = tlog::mirror::MirrorInfo::parse(data) {
        assert_eq!(info.to_text().as_bytes(), data);
    }
});
