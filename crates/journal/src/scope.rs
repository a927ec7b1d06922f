//! What a reader may see: required by every read door, the one choke point of authorization.
//!
//! Made from a credential or from the fact that a ledger is public; there is no scope that allows everything.

use std::ops::Range;
use std::sync::Arc;

use crate::credential::{Credential, Verb};

/// Ledgers, verbs, actions, time and classes that a reader may see. Unknown = denied.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    pub(crate) credential: Option<Arc<Credential>>,
    pub(crate) actions: Option<Vec<String>>,
    pub(crate) time: Option<Range<u64>>,
    pub(crate) classes: Option<Vec<String>>,
}

impl Scope {
    /// What the credential allows.
    pub fn of(credential: &Arc<Credential>) -> Scope {
        Scope { credential: Some(Arc::clone(credential)), ..Scope::default() }
    }

    /// For anyone: leaves, tiles, proofs and checkpoints of ledgers that were created `public_leaves`, nothing else.
    pub fn public_leaves() -> Scope {
        Scope::default()
    }

    /// Narrows to actions that begin with one of the prefixes; bodies of others are withheld.
    pub fn with_actions(mut self, prefixes: Vec<String>) -> Scope {
        self.actions = Some(prefixes);
        self
    }

    /// Narrows to entries received in the range (nanoseconds); bodies of others are withheld.
    pub fn with_time(mut self, received: Range<u64>) -> Scope {
        self.time = Some(received);
        self
    }

    /// Narrows to entries of these categories; bodies of others are withheld.
    pub fn with_classes(mut self, categories: Vec<String>) -> Scope {
        self.classes = Some(categories);
        self
    }

    /// Principal id of the reader; `None` for anyone.
    pub fn principal(&self) -> Option<&str> {
        self.credential.as_deref().map(|credential| credential.principal.as_str())
    }

    /// Whether the verb is granted on the ledger.
    pub fn allows(&self, verb: Verb, ledger: &str) -> bool {
        self.credential.as_ref().is_some_and(|credential| credential.allows(verb, ledger))
    }

    /// Whether some entries of its ledgers are outside of it.
    pub(crate) fn is_narrowed(&self) -> bool {
        self.actions.is_some() || self.time.is_some() || self.classes.is_some()
    }

    /// Whether the entry with this leaf is within actions, time and classes. What cannot be read is outside.
    pub(crate) fn covers(&self, leaf: &[u8]) -> bool {
        if !self.is_narrowed() {
            return true;
        }
        let Some(leaf) = event::parse_leaf(leaf) else { return false };
        let action = self.actions.as_ref().is_none_or(|all| all.iter().any(|p| leaf.action.starts_with(p.as_str())));
        let class = self.classes.as_ref().is_none_or(|all| all.iter().any(|c| c == leaf.category));
        let time = self
            .time
            .as_ref()
            .is_none_or(|range| event::nanoseconds(leaf.received_at).is_some_and(|received| range.contains(&received)));
        action && class && time
    }
}
