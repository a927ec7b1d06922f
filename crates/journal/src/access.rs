//! What becomes an entry of `access`: reads of bodies, exports, tails, and denials.

/// A read that is recorded before its answer leaves.
#[derive(Clone, Debug)]
pub struct Access {
    /// `body`, `bodies`, `tail`, `export`, `entry`.
    pub what: &'static str,
    /// Name of the ledger that is read.
    pub ledger: String,
    /// First index, where one is known.
    pub from: Option<u64>,
    /// One past the last index, where one is known.
    pub to: Option<u64>,
    /// Entries that the answer holds.
    pub count: u64,
    /// The client's address; stands in a sealed place.
    pub peer: Option<String>,
}

/// A request that was refused for lack of rights.
#[derive(Clone, Debug)]
pub struct Denial {
    /// Verb that was missing, or `authenticate`.
    pub verb: &'static str,
    /// Ledger that was asked for, if any: as written by the client.
    pub ledger: Option<String>,
    /// Route, not the path with its values.
    pub route: &'static str,
    /// The client's address; stands in a sealed place.
    pub peer: Option<String>,
}
