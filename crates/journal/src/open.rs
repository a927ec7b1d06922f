//! Opening a data folder: lock, keys, pin, ledgers, the fold over `control`; the first set-up; creations that a crash
//! cut short are finished here.
//!
//! Signs nothing of its own accord: each ledger compares itself with pin and checkpoints before it does.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use ledger::{About, DataFolder, Kind, Ledger, Pin, Place};
use tlog::CheckpointSigner;
use vault::{LedgerKeys, Vault};

use crate::admin::{By, kind_name};
use crate::credential::{NewToken, Secret, Verb};
use crate::error::{Error, OpenError};
use crate::fold::control::{Control, Fact, LedgerFact};
use crate::follow::Follower;
use crate::journal::{Doors, OpenReport, Options, PinChoice};
use crate::own::stating;
use crate::rules::Ulids;
use crate::settle::Settler;
use crate::state::{CONTROL, GapsShown, Inner, OpenLedger, SYSTEM, TENANT, lock};
use crate::views;

/// Stores a secret before its token becomes valid.
pub(crate) type Keep<'a> = dyn Fn(&Secret) -> std::io::Result<()> + 'a;

/// The audit ledger of a new data folder.
const MAIN: &str = "main";

/// What opening a ledger needs.
pub(crate) struct Opening<'a> {
    pub(crate) doors: &'a Doors,
    pub(crate) options: &'a Options,
    pub(crate) data: &'a Path,
    pub(crate) vault: &'a Vault,
    pub(crate) pin: &'a Arc<Pin>,
}

impl Inner {
    pub(crate) fn opening(&self) -> Opening<'_> {
        Opening { doors: &self.doors, options: &self.options, data: &self.data, vault: &self.vault, pin: &self.pin }
    }
}

fn signer(origin: &str, keys: &LedgerKeys) -> Result<CheckpointSigner, OpenError> {
    let (first, second) = (keys.clone(), keys.clone());
    CheckpointSigner::new(
        origin,
        keys.ed25519_public,
        &keys.mldsa44_public,
        Arc::new(move |message| first.sign_ed25519(message)),
        Arc::new(move |message| second.sign_mldsa44(message)),
    )
    .map_err(|e| OpenError::Unavailable(format!("no signer for {origin}: {e}")))
}

/// Steps 1 and 2 of decision 0002: keys, then the folder. Blocking; returned = durable.
pub(crate) fn make_folder(
    opening: &Opening<'_>,
    folder: &Option<DataFolder>,
    about: &About,
) -> Result<LedgerKeys, OpenError> {
    let folder = folder.as_ref().ok_or_else(|| OpenError::Unavailable("the data folder is closed".into()))?;
    let keys = opening.vault.create_ledger_keys(&about.ulid)?;
    let note = signer(&about.origin, &keys)?.key_note(0);
    let mut text = serde_json::to_string(&[note]).map_err(|e| OpenError::Unavailable(e.to_string()))?;
    text.push('\n');
    folder.create_ledger(about, text.as_bytes(), (opening.doors.clock)())?;
    Ok(keys)
}

/// Opens one ledger. Blocking. Answers what the operator should know.
pub(crate) fn open_ledger(
    opening: &Opening<'_>,
    about: About,
    keys: LedgerKeys,
    fact: &LedgerFact,
) -> Result<(OpenLedger, ledger::OpenReport), OpenError> {
    let signer = signer(&about.origin, &keys)?;
    let vkeys = signer.vkeys().iter().map(ToString::to_string).collect();
    let vault = opening.vault.clone();
    let doors = ledger::Doors {
        disk: Arc::clone(&opening.doors.disk),
        clock: Arc::clone(&opening.doors.clock),
        body_digest: Arc::new(event::body_digest),
        stamp: Arc::new(event::stamp),
        views_mac: Arc::new(move |parts| vault.views_mac(parts)),
        signer: Arc::new(signer),
        pin: Arc::clone(opening.pin),
    };
    let mut config = opening.options.ledger.clone();
    config.accept_first_start = opening.options.accept_first_start;
    if about.name == CONTROL {
        config = config.with_reserve();
    }
    let place = Place { data: opening.data.to_path_buf(), ulid: about.ulid.clone() };
    let keys = read_keys(opening, &about.ulid)?;
    let (ledger, report) = Ledger::open(&place, config, doors)?;
    let open = OpenLedger {
        ledger,
        name: about.name,
        ulid: about.ulid,
        kind: about.kind,
        origin: about.origin,
        vkeys,
        keys,
        created_at: about.created_at,
        retention: fact.retention.clone(),
        public: fact.public_leaves,
        gaps: Mutex::new(GapsShown::default()),
    };
    Ok((open, report))
}

fn read_keys(opening: &Opening<'_>, ulid: &str) -> Result<String, OpenError> {
    let path = opening.data.join("ledgers").join(ulid).join("keys");
    let failed = |e: std::io::Error| OpenError::Unavailable(format!("{}: {e}", path.display()));
    let file = opening.doors.disk.open(&path).map_err(failed)?;
    let len = file.len().map_err(failed)?.min(KEYS_BYTES_MAX);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    file.read_exact_at(&mut bytes, 0).map_err(failed)?;
    String::from_utf8(bytes).map_err(|_| OpenError::Corrupt(format!("{} is no text", path.display())))
}

/// Largest file `keys` that is served: some hundred rotations.
const KEYS_BYTES_MAX: u64 = 1 << 20;

/// What a ledger is by its folder alone, where `control` does not know it.
fn fact_of(about: &About) -> LedgerFact {
    LedgerFact {
        ulid: about.ulid.clone(),
        name: about.name.clone(),
        kind: kind_name(about.kind).into(),
        origin: about.origin.clone(),
        retention: crate::retention::DEFAULT.into(),
        public_leaves: false,
    }
}

fn open_pin(opening_disk: &Doors, choice: &PinChoice, control: &str) -> Result<Pin, OpenError> {
    let path = match choice {
        PinChoice::File(path) => path.clone(),
        PinChoice::InFolder(folder) => {
            let failed = |e: std::io::Error| {
                let folder = folder.display();
                OpenError::Unavailable(format!("the folder of the pin, {folder}, cannot be made: {e}; give --pin FILE"))
            };
            let mut missing: Vec<&Path> = Vec::new();
            for ancestor in folder.ancestors().filter(|a| !a.as_os_str().is_empty()) {
                if opening_disk.disk.exists(ancestor).map_err(failed)? {
                    break;
                }
                missing.push(ancestor);
            }
            for ancestor in missing.into_iter().rev() {
                opening_disk.disk.create_dir(ancestor).map_err(failed)?;
            }
            folder.join(control)
        }
    };
    Ok(Pin::open(&opening_disk.disk, &path)?)
}

/// Opens or sets up a data folder. Blocking.
pub(crate) fn open(options: Options, doors: Doors, keep: &Keep<'_>) -> Result<(Arc<Inner>, OpenReport), OpenError> {
    let folder = DataFolder::open(&doors.disk, &options.data)?;
    let data = folder.path().to_path_buf();
    let (vault, _) = Vault::open(&data.join("vault"), Arc::clone(&doors.random))?;
    let mut abouts = folder.ledgers()?;
    if let Some(other) = abouts.iter().find(|about| about.tenant != TENANT) {
        return Err(OpenError::Corrupt(format!("the ledger {} is of tenant {}", other.ulid, other.tenant)));
    }
    let controls = abouts.iter().filter(|about| about.name == CONTROL).count();
    let fresh = abouts.is_empty();
    if controls > 1 || (controls == 0 && !fresh) {
        return Err(OpenError::Corrupt(format!("{controls} ledgers are named control, where one should be")));
    }
    let ulids = Ulids::default();
    if fresh {
        abouts.push(new_control(&options, &doors, &ulids));
    }
    let at = abouts.iter().position(|about| about.name == CONTROL).unwrap_or(0);
    let about = abouts.swap_remove(at);
    let pin = Arc::new(open_pin(&doors, &options.pin, &about.ulid)?);
    let opening = Opening { doors: &doors, options: &options, data: &data, vault: &vault, pin: &pin };
    let folder = Some(folder);
    let keys = if fresh { make_folder(&opening, &folder, &about)? } else { vault.ledger_keys(&about.ulid)? };
    let mut notes = Vec::new();
    let mut first_start = false;
    let (mut control_open, report) = open_ledger(&opening, about.clone(), keys, &fact_of(&about))?;
    first_start |= report.first_start;
    notes.extend(report.notes);
    let snapshot = views::read::<Control>(&opening, &control_open, CONTROL);
    let control = snapshot.filter(|(size, control)| control.size == *size).map(|(_, control)| control);
    let settler = Settler::start().map_err(|e| OpenError::Unavailable(format!("no thread: {e}")))?;
    let inner = Inner {
        control_ledger: control_open.ledger.clone(),
        data: data.clone(),
        folder: Mutex::new(folder),
        vault: vault.clone(),
        pin: Arc::clone(&pin),
        ledgers: RwLock::new(BTreeMap::new()),
        control: RwLock::new(control.unwrap_or_default()),
        credentials: RwLock::default(),
        deciding: Mutex::new(()),
        bootstrap_open: AtomicBool::new(true),
        bootstrap_told: AtomicBool::new(false),
        ulids,
        settler,
        follower: Follower::new(),
        closed: AtomicBool::new(false),
        unfit: OnceLock::new(),
        doors: doors.clone(),
        options: options.clone(),
    };
    inner.fold_control().map_err(of_error)?;
    inner
        .bootstrap_told
        .store(inner.with_control(|control| control.bootstrap_ended), std::sync::atomic::Ordering::Release);
    compare(&inner, &abouts, &control_open.ulid)?;
    if let Some(known) = inner.with_control(|control| control.ledgers.get(&control_open.ulid).cloned()) {
        control_open.retention = known.what.retention;
        control_open.public = known.what.public_leaves;
        inner.insert(Arc::new(control_open));
    } else {
        let fact = fact_of(&about);
        let deciding = inner.decide().map_err(of_error)?;
        inner.finish_ledger(&deciding, Arc::new(control_open), &fact, By::Server).map_err(of_error)?;
    }
    for about in abouts {
        first_start |= open_one(&inner, &opening, about, &mut notes)?;
    }
    set_up(&inner)?;
    let mut weaker = Vec::new();
    if first_start {
        weaker.push("accept-first-start".to_owned());
    }
    let bootstrap = first_token(&inner, keep)?;
    let deciding = inner.decide().map_err(of_error)?;
    let started = By::Server.on(stating("server.started", &Fact::Started { options: weaker }));
    inner.commit(&deciding, &[started]).map_err(of_error)?;
    drop(deciding);
    let inner = Arc::new(inner);
    let follower = inner.follower.start(&inner);
    follower.map_err(|e| OpenError::Unavailable(format!("no thread: {e}")))?;
    let bootstrap_ended = inner.with_control(|control| control.bootstrap_ended);
    Ok((inner, OpenReport { fresh, bootstrap, bootstrap_ended, notes }))
}

fn of_error(error: Error) -> OpenError {
    match error {
        Error::Corrupt(what) => OpenError::Corrupt(what),
        other => OpenError::Unavailable(other.to_string()),
    }
}

fn new_control(options: &Options, doors: &Doors, ulids: &Ulids) -> About {
    let mut local = [0; 6];
    (doors.random)(&mut local);
    let now = (doors.clock)();
    About {
        ulid: ulids.next(now, &*doors.random),
        name: CONTROL.into(),
        tenant: TENANT.into(),
        kind: Kind::Audit,
        origin: crate::rules::origin(options.host.as_deref(), &local, CONTROL),
        created_at: String::from_utf8_lossy(&event::stamp(now)).into_owned(),
    }
}

/// Every ledger that `control` knows has its folder, or the evidence contradicts itself.
fn compare(inner: &Inner, abouts: &[About], control: &str) -> Result<(), OpenError> {
    let mut on_disk: Vec<&str> = abouts.iter().map(|about| about.ulid.as_str()).collect();
    on_disk.push(control);
    inner.with_control(|known| {
        let (missing, _) = known.compare_folders(&on_disk);
        if missing.is_empty() {
            return Ok(());
        }
        Err(OpenError::Corrupt(format!("control knows ledgers whose folders are gone: {}", missing.join(", "))))
    })
}

/// Opens a ledger beside `control`, or finishes its creation. Answers whether it was a first start.
fn open_one(inner: &Inner, opening: &Opening<'_>, about: About, notes: &mut Vec<String>) -> Result<bool, OpenError> {
    let known = inner.with_control(|control| control.ledgers.get(&about.ulid).map(|known| known.what.clone()));
    if let Some(known) = &known
        && (known.name != about.name || known.origin != about.origin || known.kind != kind_name(about.kind))
    {
        return Err(OpenError::Corrupt(format!("LEDGER of {} and control contradict each other", about.ulid)));
    }
    let taken = inner.with_control(|control| control.ledgers.values().any(|l| l.what.name == about.name));
    if known.is_none() && taken {
        notes.push(format!("the folder of {} was never finished and its name is taken: left as it is", about.ulid));
        return Ok(false);
    }
    let keys = opening.vault.ledger_keys(&about.ulid)?;
    let fallback = fact_of(&about);
    let (mut open, report) = open_ledger(opening, about, keys, known.as_ref().unwrap_or(&fallback))?;
    notes.extend(report.notes);
    if known.is_some() {
        inner.insert(Arc::new(open));
        return Ok(report.first_start);
    }
    // Its first entry, where there is one, says what the client asked for.
    let fact = stated_fact(&open.ledger).filter(|fact| fact.ulid == open.ulid).unwrap_or(fallback);
    (open.retention, open.public) = (fact.retention.clone(), fact.public_leaves);
    notes.push(format!("the creation of the ledger {} was cut short and is finished now", open.name));
    let deciding = inner.decide().map_err(of_error)?;
    inner.finish_ledger(&deciding, Arc::new(open), &fact, By::Server).map_err(of_error)?;
    Ok(report.first_start)
}

fn stated_fact(ledger: &Ledger) -> Option<LedgerFact> {
    let body: serde_json::Value = serde_json::from_slice(&ledger.entry(0).ok()?.body?).ok()?;
    serde_json::from_value(body.pointer("/event/ext/ledger")?.clone()).ok()
}

/// The ledgers that every data folder has: made at the first start, or by the next one after a crash.
fn set_up(inner: &Inner) -> Result<(), OpenError> {
    // Only before the first token: a folder in use that lacks one has lost it.
    let tokens = inner.with_control(|control| control.tokens.len());
    for name in SYSTEM.into_iter().skip(1).chain([MAIN]) {
        if inner.find(name).is_some() {
            continue;
        }
        if tokens > 0 {
            return Err(OpenError::Corrupt(format!("the ledger {name} is missing")));
        }
        let deciding = inner.decide().map_err(of_error)?;
        let fact = inner.new_fact(name.into(), Kind::Audit, "none".into(), false);
        inner.make_ledger(&deciding, &fact, By::Server).map_err(of_error)?;
    }
    Ok(())
}

/// The first admin token, where there is no token yet.
fn first_token(inner: &Inner, keep: &Keep<'_>) -> Result<Option<Secret>, OpenError> {
    if inner.with_control(|control| !control.tokens.is_empty()) {
        return Ok(None);
    }
    admin_token(inner, true, keep).map(Some)
}

/// An admin token over everything, by the server's own authority.
pub(crate) fn admin_token(inner: &Inner, bootstrap: bool, keep: &Keep<'_>) -> Result<Secret, OpenError> {
    let new = NewToken {
        // Any source but the server's own.
        source_prefixes: vec![String::new()],
        ledgers: vec!["*".into()],
        verbs: Verb::ALL.to_vec(),
        ..NewToken::default()
    };
    let deciding = inner.decide().map_err(of_error)?;
    let (_, secret) = inner.make_token(&deciding, new, By::Server, bootstrap, keep).map_err(of_error)?;
    Ok(secret)
}

/// Drains and closes everything; the control ledger last. Blocking.
pub(crate) fn close(inner: &Inner) -> Result<(), Error> {
    let stopped = inner.decide().and_then(|deciding| {
        let event = By::Server.on(stating("server.stopped", &Fact::Stopped {}));
        inner.commit(&deciding, &[event])
    });
    let mut outcome = stopped.map(|_| ());
    let ledgers = inner.all();
    for open in ledgers.iter().filter(|open| open.name != CONTROL) {
        outcome = outcome.and(open.ledger.close().map_err(Error::from));
    }
    // After the last commit was told, so that the snapshots cover it.
    inner.follower.stop();
    inner.settler.stop();
    outcome = outcome.and(inner.control_ledger.close().map_err(Error::from));
    if let Some(control) = ledgers.iter().find(|open| open.name == CONTROL) {
        inner.with_control(|state| views::write(inner, control, CONTROL, state.size, state));
    }
    drop(lock(&inner.folder).take());
    outcome
}
