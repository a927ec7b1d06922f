//! Orderly stops under load, the one writer of a folder, listeners that must not open.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use ledger::CheckpointLog;
use tlog::{Checkpoint, Note};

use crate::rig::{Folder, How, vkeys};
use crate::writers::{Judge, Writer, load};

/// The last checkpoint of a stopped folder, as it lies on disk.
fn last_on_disk(folder: &Folder, ledger: &str) -> Checkpoint {
    let disk: std::sync::Arc<dyn ledger::durable::Disk> = std::sync::Arc::new(ledger::durable::OsDisk);
    let log = CheckpointLog::open(&disk, &folder.ledger(ledger).join("checkpoints")).unwrap();
    Checkpoint::parse(&Note::parse(log.last().unwrap().as_bytes()).unwrap().text).unwrap()
}

#[test]
fn sigterm_under_load_loses_nothing() {
    let folder = Folder::new();
    let up = folder.up();
    let token = folder.bootstrap();
    let keys = vkeys(&mut up.http(&token), "main");
    let mut writers: Vec<Writer> = (0..6).map(|n| Writer::new(&format!("w{n}"))).collect();
    let never = AtomicBool::new(false);
    let url = up.url().to_owned();
    let status = std::thread::scope(|scope| {
        let stopper = scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(700));
            up.stop()
        });
        load(&mut writers, &url, &token, &[(1, 10), (1, 2_000), (50, 300)], &never);
        stopper.join().unwrap()
    });
    assert_eq!(status.0.code(), Some(0), "{:?}", status.1);
    assert_eq!(status.1.last().unwrap()["event"], "stopped");
    let highest = writers.iter().flat_map(|w| w.receipts.values()).map(|r| r.index).max().unwrap();
    let last = last_on_disk(&folder, "main");
    assert!(last.size > highest, "acknowledged up to #{highest}, the last checkpoint has {} entries", last.size);
    let up = folder.up();
    let mut http = up.http(&token);
    let mut judge = Judge::new(&keys);
    let mut proved = 0;
    for writer in &mut writers {
        assert!(writer.receipts.len() > 5, "{} wrote only {}", writer.name, writer.receipts.len());
        for receipt in writer.receipts.values() {
            judge.prove(&mut http, receipt);
            proved += 1;
        }
        writer.resend(&mut http);
    }
    eprintln!("{proved} receipts proved after SIGTERM");
    up.stop_cleanly();
}

#[test]
fn a_second_server_on_the_folder_is_refused() {
    let folder = Folder::new();
    let up = folder.up();
    let refused = folder.try_up(&How::default()).err().unwrap();
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.error.contains("another process runs on this data folder"), "{refused:?}");
    // The first one is not disturbed.
    assert_eq!(up.http("").get("/readyz").status, 200);
    up.kill();
    folder.up().stop_cleanly();
}

#[test]
fn a_listener_beyond_loopback_without_tls_is_refused() {
    let folder = Folder::new();
    let how = How { listen: Some("0.0.0.0:0".to_owned()), ..How::default() };
    let refused = folder.try_up(&how).err().unwrap();
    assert_eq!(refused.code, Some(1), "{refused:?}");
    for part in ["0.0.0.0:0", "not loopback", "--tls-cert and --tls-key", "--behind-tls-proxy"] {
        assert!(refused.error.contains(part), "{part}: {refused:?}");
    }
    assert!(!folder.data().exists(), "a refused start leaves no data folder behind");
}
