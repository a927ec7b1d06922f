//! Decisions about ledgers and tokens: looked up in the fold, committed, folded, and only then true.
//!
//! Knows no HTTP. A display name goes to sealed places of the entry alone; the fold never holds it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use event::own::Own;
use ledger::{About, Kind};

use crate::credential::{Credential, NewToken, Secret, TokenInfo, Verb};
use crate::error::{Error, OpenError};
use crate::fold::control::{Control, Fact, LedgerFact, OWN_SOURCE, Token, secret_sha256};
use crate::limits::{NAME_BYTES_MAX, PREFIXES_MAX, TOKEN_LEDGERS_MAX};
use crate::open;
use crate::open::Keep;
use crate::own::{Deciding, stating};
use crate::request::Refusal;
use crate::retention;
use crate::rules::{hex, is_ledger_name, is_reserved, origin, secret};
use crate::state::{Inner, OpenLedger, TENANT, lock};
use crate::status::{LedgerInfo, NewLedger};

/// On whose authority an entry is written.
#[derive(Clone, Copy)]
pub(crate) enum By<'a> {
    Principal(&'a str),
    /// The server itself: the first set-up, or somebody with the machine in hand.
    Server,
}

impl By<'_> {
    pub(crate) fn on(self, event: Own) -> Own {
        match self {
            By::Principal(id) => event.actor("user", id, None),
            By::Server => event.actor("system", OWN_SOURCE, None),
        }
    }
}

fn refused(status: u16, code: &'static str, field: &str, expected: &str, detail: String) -> Error {
    Error::Refused(Refusal::new(status, code, field, expected, detail))
}

impl Inner {
    /// Makes a ledger in the order of decision 0002. Blocking.
    pub(crate) fn create_ledger(&self, by: &Credential, new: NewLedger) -> Result<LedgerInfo, Error> {
        if !is_ledger_name(&new.name) {
            let expected = "1 to 63 of a-z, 0-9 and -";
            return Err(refused(400, "name-malformed", "name", expected, "no name of a ledger".into()));
        }
        if !by.allows(Verb::Admin, &new.name) {
            return Err(Error::Denied("admin"));
        }
        let retention = new.retention.unwrap_or_else(|| retention::DEFAULT.into());
        if !retention::is_known(&retention) {
            let expected = format!("one of {}", retention::names());
            return Err(refused(400, "retention-unknown", "retention", &expected, "no such retention profile".into()));
        }
        let deciding = self.decide_for(by)?;
        {
            let control = self.control.read().unwrap_or_else(PoisonError::into_inner);
            if control.ledgers.values().any(|known| known.what.name == new.name) {
                let detail = format!("the ledger \"{}\" exists", new.name);
                return Err(refused(409, "ledger-exists", "name", "a name that is free", detail));
            }
            if !control.has_room_for_ledger() {
                let detail = "the data folder holds as many ledgers as it can".into();
                return Err(refused(409, "ledgers-full", "name", "fewer ledgers", detail));
            }
        }
        let fact = self.new_fact(new.name, new.kind, retention, new.public_leaves);
        let open = self.make_ledger(&deciding, &fact, By::Principal(&by.principal))?;
        Ok(open.info())
    }

    pub(crate) fn new_fact(&self, name: String, kind: Kind, retention: String, public_leaves: bool) -> LedgerFact {
        let mut local = [0; 6];
        (self.doors.random)(&mut local);
        LedgerFact {
            ulid: self.ulids.next(self.now(), &*self.doors.random),
            origin: origin(self.options.host.as_deref(), &local, &name),
            name,
            kind: kind_name(kind).into(),
            retention,
            public_leaves,
        }
    }

    /// Steps 1 to 4 of decision 0002.
    pub(crate) fn make_ledger(
        &self,
        deciding: &Deciding<'_>,
        fact: &LedgerFact,
        by: By<'_>,
    ) -> Result<Arc<OpenLedger>, Error> {
        let about = self.about_of(fact);
        let unavailable = |e: OpenError| Error::Unavailable(ledger::with_causes(&e));
        let opening = self.opening();
        let keys = open::make_folder(&opening, &lock(&self.folder), &about).map_err(unavailable)?;
        let (opened, _) = open::open_ledger(&opening, about, keys, fact).map_err(unavailable)?;
        self.finish_ledger(deciding, Arc::new(opened), fact, by)
    }

    /// Steps 3 and 4: the ledger explains itself, then `control` knows it.
    pub(crate) fn finish_ledger(
        &self,
        deciding: &Deciding<'_>,
        open: Arc<OpenLedger>,
        fact: &LedgerFact,
        by: By<'_>,
    ) -> Result<Arc<OpenLedger>, Error> {
        let mut facts = vec![by.on(stating("ledger.created", &Fact::LedgerCreated(fact.clone())))];
        if open.kind == Kind::Audit {
            let event = Own::new("ledger.created")
                .id(&format!("ledger.created:{}", open.ulid))
                .category("log")
                .target("ledger", &open.ulid, None)
                .outcome("success", None, None)
                .ext("ledger", fact);
            let places = self.append_own(&open.ledger, &open.name, &[by.on(event)])?;
            let first = places.first().map_or(0, |(index, _)| *index);
            let leaf_hash = open.ledger.leaf_hash(first)?.hex();
            let reference = Fact::Reference { origin: open.origin.clone(), index: first, leaf_hash };
            facts.push(stating("ledger.referenced", &reference));
        }
        self.commit(deciding, &facts)?;
        self.insert(Arc::clone(&open));
        Ok(open)
    }

    fn about_of(&self, fact: &LedgerFact) -> About {
        About {
            ulid: fact.ulid.clone(),
            name: fact.name.clone(),
            tenant: TENANT.into(),
            kind: if fact.kind == kind_name(Kind::Raw) { Kind::Raw } else { Kind::Audit },
            origin: fact.origin.clone(),
            created_at: String::from_utf8_lossy(&event::stamp(self.now())).into_owned(),
        }
    }

    /// Makes a token on behalf of somebody with the verb `admin`. Blocking.
    pub(crate) fn create_token(&self, by: &Credential, new: NewToken) -> Result<(Arc<Credential>, Secret), Error> {
        if !by.verbs.contains(&Verb::Admin) {
            return Err(Error::Denied("admin"));
        }
        let mut new = new;
        if new.ledgers.is_empty() {
            new.ledgers = vec!["*".into()];
        }
        check_token(&new)?;
        // Nobody hands out more ledgers than they have.
        let has = |name: &String| by.ledgers.iter().any(|l| l == "*" || l == name);
        if !new.ledgers.iter().all(has) {
            return Err(Error::Denied("admin of a ledger that the token names"));
        }
        let deciding = self.decide_for(by)?;
        if let Some(principal) = &new.principal
            && !self.with_control(|control| may_speak_for(control, by, principal))
        {
            // The same answer as for one that does not exist: ids of people are not for the asking.
            return Err(unknown_principal());
        }
        self.make_token(&deciding, new, By::Principal(&by.principal), false, &|_| Ok(()))
    }

    /// Commits a principal, where it is new, and a token of it.
    pub(crate) fn make_token(
        &self,
        deciding: &Deciding<'_>,
        new: NewToken,
        by: By<'_>,
        bootstrap: bool,
        keep: &Keep<'_>,
    ) -> Result<(Arc<Credential>, Secret), Error> {
        let mut facts = Vec::new();
        let principal = match new.principal {
            Some(id) => {
                let control = self.control.read().unwrap_or_else(PoisonError::into_inner);
                if !control.principals.contains_key(&id) {
                    return Err(unknown_principal());
                }
                id
            }
            None => {
                let mut bytes = [0; 16];
                (self.doors.random)(&mut bytes);
                let id = format!("p-{}", hex(&bytes));
                let fact = Fact::PrincipalAdded { principal: id.clone() };
                let name = Some(new.person.as_str()).filter(|name| !name.is_empty());
                facts.push(by.on(stating("principal.added", &fact)).target("principal", &id, name));
                id
            }
        };
        if !self.control.read().unwrap_or_else(PoisonError::into_inner).has_room_for_token() {
            let detail = "as many tokens are in use as there can be: revoke some".into();
            return Err(refused(409, "tokens-full", "", "fewer tokens", detail));
        }
        let default_source = match new.default_source {
            source if source.is_empty() => format!("urn:principal:{principal}"),
            source => source,
        };
        let shown = secret(&*self.doors.random);
        let token = Token {
            token_id: self.ulids.next(self.now(), &*self.doors.random),
            secret_sha256: secret_sha256(shown.expose()),
            principal: principal.clone(),
            bootstrap,
            default_source,
            source_prefixes: new.source_prefixes,
            ledgers: new.ledgers,
            verbs: new.verbs.iter().map(|verb| verb.name().to_owned()).collect(),
            events_per_second: new.quotas.events_per_second,
            bytes_per_day: new.quotas.bytes_per_day,
            reads_per_minute: new.quotas.reads_per_minute,
        };
        let id = token.token_id.clone();
        let stated = by.on(stating("token.created", &Fact::TokenCreated(token)));
        facts.push(stated.target("token", &id, None).target("principal", &principal, None));
        keep(&shown).map_err(|e| Error::Unavailable(format!("the secret of the token cannot be kept: {e}")))?;
        // Crash: a secret that no token has.
        self.commit(deciding, &facts)?;
        let made = self.authenticate(shown.expose());
        made.map(|credential| (credential, shown))
            .ok_or_else(|| Error::Unavailable("the new token is not known after its commit".into()))
    }

    /// Blocking; returned = durable.
    pub(crate) fn revoke_token(&self, by: &Credential, token_id: &str) -> Result<(), Error> {
        if !by.verbs.contains(&Verb::Admin) {
            return Err(Error::Denied("admin"));
        }
        let deciding = self.decide_for(by)?;
        {
            let control = self.control.read().unwrap_or_else(PoisonError::into_inner);
            let Some(token) = control.tokens.get(token_id) else {
                let detail = "no such token".into();
                return Err(refused(404, "token-unknown", "id", "the id of a token, see the list", detail));
            };
            if token.revoked_at.is_some() {
                return Ok(());
            }
            if !within(by, &token.what) {
                return Err(Error::Denied("admin of a ledger that the token names"));
            }
            // An admin of some ledgers cannot make one of all, so it is none to be left alone with.
            let others = control.tokens.values().filter(|t| t.revoked_at.is_none() && t.what.token_id != token_id);
            let last = token.what.credential().is_full_admin()
                && !others.into_iter().any(|t| t.what.credential().is_full_admin());
            if last {
                let detail = "this is the last admin token over all ledgers: make another one first".into();
                return Err(refused(409, "last-admin", "id", "another admin token", detail));
            }
        }
        let fact = Fact::TokenRevoked { token_id: token_id.to_owned() };
        let event = By::Principal(&by.principal).on(stating("token.revoked", &fact)).target("token", token_id, None);
        self.commit(&deciding, &[event]).map(|_| ())
    }

    /// Tokens, oldest first; an admin of some ledgers sees those that reach no further. Blocking on the disk.
    pub(crate) fn list_tokens(&self, by: &Credential) -> Result<Vec<TokenInfo>, Error> {
        if !by.verbs.contains(&Verb::Admin) {
            return Err(Error::Denied("admin"));
        }
        let (mut tokens, principals) = {
            let control = self.control.read().unwrap_or_else(PoisonError::into_inner);
            let seen = control.tokens.values().filter(|token| within(by, &token.what));
            (seen.cloned().collect::<Vec<_>>(), control.principals.clone())
        };
        tokens.sort_by_key(|token| token.at);
        let info = |token: crate::fold::control::Stated<Token>| {
            let person = principals.get(&token.what.principal).and_then(|at| self.name_at(*at));
            Ok(TokenInfo {
                credential: token.what.credential(),
                person,
                created_at: self.time_at(token.at)?,
                revoked_at: token.revoked_at.map(|at| self.time_at(at)).transpose()?,
            })
        };
        tokens.into_iter().map(info).collect()
    }

    /// Display name of the principal that an entry of `control` adds.
    fn name_at(&self, index: u64) -> Option<String> {
        let body = self.control_ledger.entry(index).ok()?.body?;
        let body: serde_json::Value = serde_json::from_slice(&body).ok()?;
        body.pointer("/event/targets/0/name")?.as_str().map(str::to_owned)
    }

    fn time_at(&self, index: u64) -> Result<String, Error> {
        let entry = self.control_ledger.entry(index)?;
        let leaf = event::parse_leaf(&entry.leaf)
            .ok_or_else(|| Error::Corrupt(format!("entry {index} of control has no leaf of ours")))?;
        Ok(leaf.received_at.to_owned())
    }

    pub(crate) fn authenticate(&self, secret: &str) -> Option<Arc<Credential>> {
        self.fit().ok()?;
        let hash = secret_sha256(secret);
        let credentials = self.credentials.read().unwrap_or_else(PoisonError::into_inner);
        let (known, credential) = credentials.get_key_value(&hash)?;
        // The look-up is by hash, the decision by a constant-time comparison.
        verify_slices_are_equal(known.as_bytes(), hash.as_bytes()).ok()?;
        Some(Arc::clone(credential))
    }

    pub(crate) fn is_valid(&self, credential: &Credential) -> bool {
        let token = |control: &Control| control.tokens.get(&credential.token_id).map(|token| token.revoked_at);
        self.fit().is_ok() && self.with_control(token) == Some(None)
    }

    /// Whether this use ends the life of the first token's file: `true` once.
    pub(crate) fn ends_bootstrap(self: &Arc<Self>, credential: &Credential) -> bool {
        if !self.bootstrap_open.load(Ordering::Acquire) {
            return false;
        }
        let ends = self.control.read().unwrap_or_else(PoisonError::into_inner).ends_bootstrap(credential);
        if !ends || self.bootstrap_told.swap(true, Ordering::AcqRel) {
            return false;
        }
        self.settler.bootstrap_ended(self, &credential.token_id);
        true
    }

    /// The fold, for those who only look.
    pub(crate) fn with_control<T>(&self, look: impl FnOnce(&Control) -> T) -> T {
        look(&self.control.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether the token reaches no ledger that the admin does not have.
fn within(by: &Credential, token: &Token) -> bool {
    let all = |credential: &[String]| credential.iter().any(|l| l == "*");
    all(&by.ledgers) || token.ledgers.iter().all(|name| by.ledgers.contains(name))
}

/// Whether an admin may make tokens of somebody who is there already: what those do is that principal's doing. One of
/// some ledgers may do so for itself, and for those whose tokens never reached further than it does.
fn may_speak_for(control: &Control, by: &Credential, principal: &str) -> bool {
    let mut tokens = control.tokens.values().filter(|token| token.what.principal == principal).peekable();
    by.is_full_admin()
        || by.principal == principal
        || (tokens.peek().is_some() && tokens.all(|token| within(by, &token.what)))
}

fn unknown_principal() -> Error {
    let detail = "no such principal, or none that this token may act for".into();
    refused(400, "principal-unknown", "principal", "the id of a principal", detail)
}

pub(crate) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Audit => "audit",
        Kind::Raw => "raw",
    }
}

fn check_token(new: &NewToken) -> Result<(), Error> {
    let bad = |field, expected, detail: &str| Err(refused(400, "token-malformed", field, expected, detail.into()));
    if new.verbs.is_empty() {
        return bad("verbs", "at least one of append, read-leaves, read-bodies, admin", "a token without a verb");
    }
    if new.person.len() > NAME_BYTES_MAX || new.person.chars().any(char::is_control) {
        return bad("person", "at most 128 bytes without control characters", "no display name");
    }
    if new.source_prefixes.len() > PREFIXES_MAX {
        return bad("source_prefixes", "at most 64", "too many prefixes");
    }
    let uri = |text: &str| text.len() <= 256 && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
    let full = |text: &str| uri(text) && text.contains(':') && !is_reserved(text);
    if !new.default_source.is_empty() && !full(&new.default_source) {
        return bad("default_source", "a URI of at most 256 bytes, not urn:proofbook:...", "no source of events");
    }
    // An empty prefix covers every source but the server's own: it has to be written down.
    if !new.source_prefixes.iter().all(|prefix| uri(prefix) && !is_reserved(prefix)) {
        return bad("source_prefixes", "beginnings of URIs, not urn:proofbook:...", "no prefix of a source");
    }
    let ledgers = &new.ledgers;
    if ledgers.len() > TOKEN_LEDGERS_MAX || !ledgers.iter().all(|name| name == "*" || is_ledger_name(name)) {
        return bad("ledgers", "names of ledgers, or *; at most 256", "no names of ledgers");
    }
    Ok(())
}
