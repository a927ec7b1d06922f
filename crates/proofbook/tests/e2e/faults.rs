//! Disk calls that fail under the shipped binary, each n, once and for ever. After the first failed write or sync of a
//! ledger nothing of it is acknowledged, the process ends and says why, and a restart on a healthy disk proves every
//! receipt.
//!
//! A short write is not made here: strace can only lie about one. The simulated disk of testkit makes it.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use testkit::{Progress, is_ci};

use crate::rig::{Folder, NotUp, Up, vkeys};
use crate::strace::{Fault, Trace, is_there};
use crate::writers::{Judge, Writer};

/// Requests of the workload.
const REQUESTS: usize = 14;
/// A process whose ledger failed ends within this time.
const END_MAX: Duration = Duration::from_secs(5);
/// Files that a first start writes by `write`: three keys of the folder, two of each of four ledgers, the first token.
const KEY_FILES: usize = 12;
/// The publisher's failure stops the sequencer through memory, not through the disk: so long may it take.
const TOLD_S: f64 = 0.1;

/// Which files a fault is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    /// The write-ahead segment of a ledger.
    Wal(&'static str),
    /// The checkpoint log of a ledger.
    Checkpoints(&'static str),
    Pin,
    /// Everything, `views/` too, which no promise rests on.
    Anything,
}

/// What a hit must lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// The process ends with an error that names the kernel's answer.
    Ends,
    /// Nobody notices.
    GoesOn,
    /// Either; nothing is lost.
    Holds,
}

/// A fault at every n.
#[derive(Clone, Copy, Debug)]
struct Sweep {
    on: On,
    call: &'static str,
    does: &'static str,
    then: Then,
}

const fn sweep(on: On, call: &'static str, does: &'static str, then: Then) -> Sweep {
    Sweep { on, call, does, then }
}

const EIO: &str = "error=EIO";
const FULL: &str = "error=ENOSPC";

const RUNNING: [Sweep; 17] = [
    sweep(On::Wal("main"), "fdatasync", EIO, Then::Ends),
    sweep(On::Wal("main"), "pwritev", EIO, Then::Ends),
    sweep(On::Wal("main"), "pwritev", FULL, Then::Ends),
    sweep(On::Wal("main"), "pwritev", "error=EINTR", Then::GoesOn),
    sweep(On::Wal("main"), "pread64", EIO, Then::Holds),
    sweep(On::Pin, "fdatasync", EIO, Then::Ends),
    sweep(On::Pin, "pwritev", FULL, Then::Ends),
    sweep(On::Checkpoints("main"), "fdatasync", EIO, Then::Ends),
    sweep(On::Checkpoints("main"), "pwritev", FULL, Then::Ends),
    sweep(On::Wal("control"), "fdatasync", EIO, Then::Ends),
    sweep(On::Wal("control"), "pwritev", FULL, Then::Ends),
    sweep(On::Checkpoints("control"), "fdatasync", EIO, Then::Ends),
    sweep(On::Wal("access"), "fdatasync", EIO, Then::Ends),
    sweep(On::Wal("access"), "pwritev", FULL, Then::Ends),
    sweep(On::Anything, "openat", "error=EMFILE", Then::Holds),
    sweep(On::Anything, "rename", EIO, Then::Holds),
    sweep(On::Anything, "fsync", EIO, Then::Holds),
];

/// Over an empty folder: the first set-up.
const SETTING_UP: [Sweep; 9] = [
    sweep(On::Anything, "fdatasync", EIO, Then::Holds),
    sweep(On::Anything, "fsync", EIO, Then::Holds),
    sweep(On::Anything, "pwritev", FULL, Then::Holds),
    sweep(On::Anything, "write", FULL, Then::Holds),
    sweep(On::Anything, "rename", EIO, Then::Holds),
    sweep(On::Anything, "linkat", EIO, Then::Holds),
    sweep(On::Anything, "unlink", EIO, Then::Holds),
    sweep(On::Anything, "mkdir", FULL, Then::Holds),
    sweep(On::Anything, "openat", "error=EMFILE", Then::Holds),
];

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// A folder with a past: entries, two checkpoints, a clean stop.
struct Template {
    folder: Folder,
    token: String,
    keys: Vec<tlog::Vkey>,
    writer: Writer,
}

impl Template {
    fn new() -> Template {
        let folder = Folder::new();
        let up = folder.up();
        let token = folder.bootstrap();
        let mut http = up.http(&token);
        let keys = vkeys(&mut http, "main");
        let mut writer = Writer::new("past");
        for _ in 0..3 {
            assert!(writer.send(&mut http, 7, 100, "?wait=checkpoint"));
        }
        up.stop_cleanly();
        Template { folder, token, keys, writer }
    }

    /// The file of a copy.
    fn file(folder: &Folder, on: On) -> Option<PathBuf> {
        match on {
            On::Wal(name) => Some(folder.ledger(name).join("wal/0000000000000001.wal")),
            On::Checkpoints(name) => Some(folder.ledger(name).join("checkpoints/0000000000000001.log")),
            On::Pin => Some(folder.path("pin")),
            On::Anything => None,
        }
    }
}

/// Appends, with a checkpoint waited for now and then, until something fails. Answers when the last request that was
/// acknowledged began.
fn work(up: &Up, token: &str, writer: &mut Writer) -> f64 {
    let mut http = up.http(token);
    let mut last = 0.0;
    for n in 0..REQUESTS {
        let began = now();
        let query = if n % 4 == 3 { "?wait=checkpoint" } else { "" };
        if !writer.send(&mut http, 1 + n % 3, 30, query) {
            break;
        }
        last = began;
        // A read of a body is recorded: the ledger `access` writes too.
        let _ = http.call("GET", "/v1/ledgers/main/entries/1", "", b"");
        if n == 5 {
            let _ = http.call("POST", "/v1/tokens", "application/json", br#"{"person":"x","verbs":["append"]}"#);
        }
    }
    last
}

fn says(error: &str) -> bool {
    ["Input/output error", "No space left", "Too many open files", "Interrupted"].iter().any(|n| error.contains(n))
}

fn running(sweep: Sweep, fault: &Fault, mut up: Up, trace: &Trace, token: &str, writer: &mut Writer) {
    let last = work(&up, token, writer);
    let end = Instant::now() + END_MAX;
    while sweep.then == Then::Ends && trace.has_struck() && !up.ended() {
        assert!(Instant::now() < end, "{fault:?}: struck, and the process goes on: {}", up.stderr());
        std::thread::sleep(Duration::from_millis(5));
    }
    if !up.ended() {
        // Not struck yet: perhaps while it stops.
        up.signal(rustix::process::Signal::TERM);
    }
    let code = up.wait().code();
    let said = up.rest();
    let shown = format!("{fault:?}: exit {code:?} {said:?} {}", up.stderr());
    assert!(!shown.contains("panicked"), "{shown}");
    let error = said.iter().find_map(|line| line["error"].as_str()).unwrap_or("");
    match (sweep.then, trace.struck().is_empty()) {
        (Then::Ends, false) => {
            assert!(code == Some(1) && says(error), "{shown}");
            let after = last - trace.first_at().unwrap();
            let slack = if matches!(sweep.on, On::Wal("main")) { 0.0 } else { TOLD_S };
            // Another ledger's failure ends the process a moment later; until then each answers for itself.
            let own = !matches!(sweep.on, On::Wal(name) | On::Checkpoints(name) if name != "main");
            assert!(!own || after <= slack, "{shown}: acknowledged what was sent {after} s after the fault");
        }
        (Then::GoesOn, _) | (_, true) => assert_eq!(code, Some(0), "{shown}"),
        (Then::Holds, false) => assert!(code == Some(0) || (code == Some(1) && !error.is_empty()), "{shown}"),
    }
}

fn not_up(fault: &Fault, refused: &NotUp, struck: bool) {
    assert!(struck, "{fault:?}: not up without a fault: {refused:?}");
    // The loader of the program itself may have failed, before a word of ours.
    let loader = refused.code == Some(127) && refused.stderr.contains("shared librar");
    // Where standard output fails as well, standard error has it; where that fails too, the exit code alone tells.
    let mute = fault.call == "write" && refused.error.is_empty();
    let told = mute || says(&refused.error) || says(&refused.stderr);
    assert!(loader || (refused.code == Some(1) && told), "{fault:?}: {refused:?}");
    assert!(!refused.stderr.contains("panicked"), "{fault:?}: {refused:?}");
}

/// One run under a fault and the restart after it; true if it struck.
fn one(template: &Template, sweep: Sweep, n: u32, for_ever: bool) -> bool {
    let folder = Folder::copy_of(&template.folder);
    let only = Template::file(&folder, sweep.on);
    let fault = Fault { call: sweep.call, does: sweep.does, n, for_ever, only };
    let (started, trace) = fault.up(&folder);
    let mut writer = Writer::new("f");
    match started {
        Err(refused) => not_up(&fault, &refused, !trace.struck().is_empty()),
        Ok(up) => running(sweep, &fault, up, &trace, &template.token, &mut writer),
    }
    // The disk is healthy again.
    let up = folder.try_up(&Default::default()).unwrap_or_else(|e| panic!("{fault:?}: no restart: {e:?}"));
    let mut http = up.http(&template.token);
    let mut judge = Judge::new(&template.keys);
    for receipt in writer.receipts.values().chain(template.writer.receipts.values()) {
        judge.prove(&mut http, receipt);
    }
    writer.resend(&mut http);
    assert!(writer.send(&mut http, 1, 1, "?wait=checkpoint"), "{fault:?}: the restarted server does not write");
    up.kill();
    !trace.struck().is_empty()
}

/// Runs a fault at every n until none strikes, or at a few; answers how many struck. Opened files are so many that
/// each fifth call is tried.
fn every(sweep: Sweep, strike: impl Fn(u32, bool) -> bool) -> usize {
    let step = if sweep.call == "openat" { 5 } else { 1 };
    // Behind the keys and the first token `write` writes to the terminal and wakes threads: no fault of a disk.
    let most = if sweep.call == "write" { KEY_FILES } else { usize::MAX };
    let (step, most) = if is_ci() { (step, most) } else { (2, 2) };
    let progress = Progress::new(format!("{sweep:?}"), 0);
    let mut hits = 0;
    for n in (1..).step_by(step).take(most) {
        progress.step();
        // What always interrupts never ends, and is no fault of a disk; nobody is killed twice.
        let again = sweep.does.starts_with("error") && !sweep.does.contains("EINTR");
        let struck = usize::from(strike(n, false)) + usize::from(again && strike(n, true));
        if struck == 0 {
            break;
        }
        hits += struck;
    }
    assert!(hits > 0, "{sweep:?} never struck");
    hits
}

#[test]
fn every_failed_call_ends_the_process_or_changes_nothing() {
    if !is_there() {
        return;
    }
    let template = Template::new();
    let began = Instant::now();
    // The quick form takes those that the promises rest on most.
    let quick = [0, 2, 3, 5, 7, 9];
    let mut hits = 0;
    for (at, sweep) in RUNNING.into_iter().enumerate().filter(|(at, _)| is_ci() || quick.contains(at)) {
        let struck = every(sweep, |n, for_ever| one(&template, sweep, n, for_ever));
        eprintln!("{at}: {sweep:?}: {struck} faults");
        hits += struck;
    }
    eprintln!("{hits} faults over a running server in {:?}", began.elapsed());
}

/// A first start under a fault, or killed at a call; the next one finishes it, and somebody holds a token.
fn first_start(sweep: Sweep, n: u32, for_ever: bool) -> bool {
    let folder = Folder::new();
    let fault = Fault { call: sweep.call, does: sweep.does, n, for_ever, only: None };
    let (started, trace) = fault.up(&folder);
    let killed = sweep.does.contains("SIGKILL");
    match started {
        Ok(up) => drop(up.stop()),
        Err(refused) if killed => {
            assert!(refused.code.is_none() && !trace.struck().is_empty(), "{fault:?}: {refused:?}")
        }
        Err(refused) => not_up(&fault, &refused, !trace.struck().is_empty()),
    }
    let up = folder.try_up(&Default::default()).unwrap_or_else(|e| panic!("{fault:?}: no restart: {e:?}"));
    let token = folder.bootstrap();
    let mut http = up.http(&token);
    let keys = vkeys(&mut http, "main");
    let mut writer = Writer::new("first");
    assert!(writer.send(&mut http, 1, 1, "?wait=checkpoint"), "{fault:?}: the restarted server does not write");
    writer.receipts.values().for_each(|receipt| Judge::new(&keys).prove(&mut http, receipt));
    up.kill();
    !trace.struck().is_empty()
}

#[test]
fn a_first_start_that_fails_at_any_call_is_finished_by_the_next() {
    if !is_there() {
        return;
    }
    let began = Instant::now();
    let mut hits = 0;
    for sweep in SETTING_UP.into_iter().filter(|sweep| is_ci() || sweep.call == "linkat") {
        // Which calls come after the n-th failed once is hardly new: for ever is tried at each n, once at each third.
        let strike = |n: u32, for_ever: bool| (for_ever || n % 3 == 1) && first_start(sweep, n, for_ever);
        let struck = every(sweep, strike);
        eprintln!("{sweep:?}: {struck} faults");
        hits += struck;
    }
    eprintln!("{hits} faults under a first start in {:?}", began.elapsed());
}

#[test]
fn a_first_start_that_is_killed_at_any_call_is_finished_by_the_next() {
    if !is_there() {
        return;
    }
    let began = Instant::now();
    let mut hits = 0;
    let calls = ["fdatasync", "fsync", "pwritev", "rename", "linkat", "unlink", "mkdir", "write"];
    for call in calls.into_iter().filter(|call| is_ci() || *call == "rename") {
        let sweep = sweep(On::Anything, call, "signal=SIGKILL", Then::Holds);
        hits += every(sweep, |n, _| first_start(sweep, n, false));
    }
    eprintln!("{hits} kills under a first start in {:?}", began.elapsed());
}

/// Keys whose names may still be lost are not used: each start makes them durable first, or does not happen.
#[test]
fn a_start_that_cannot_sync_its_keys_is_refused() {
    if !is_there() {
        return;
    }
    let folder = Folder::new();
    folder.up().stop_cleanly();
    for place in ["vault", ""] {
        let only = Some(std::fs::canonicalize(folder.data().join(place)).unwrap());
        let fault = Fault { call: "fsync", does: EIO, n: 1, for_ever: true, only };
        let (started, trace) = fault.up(&folder);
        let refused = started.err().unwrap_or_else(|| panic!("{fault:?}: it starts, and signs with what may be lost"));
        not_up(&fault, &refused, !trace.struck().is_empty());
        assert!(refused.error.contains("fsync"), "{refused:?}");
    }
    folder.up().stop_cleanly();
}
