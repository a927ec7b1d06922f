//! Retention profiles: for how long a ledger promises to keep bodies at the least. Prunes nothing: nothing does yet.

/// A profile that a ledger may be created with; it is in the log from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionProfile {
    /// Its name, as requests and the fact `ledger-created` have it.
    pub name: &'static str,
    /// Bodies are kept for so many days at the least; `None`: for ever.
    pub days_min: Option<u32>,
}

/// The profile of a ledger that was created without one.
pub(crate) const DEFAULT: &str = "none";

/// All profiles (docs/formats/control.md; specs/compliance.md section 6 names the minimums).
pub const RETENTION_PROFILES: [RetentionProfile; 4] = [
    RetentionProfile { name: DEFAULT, days_min: None },
    RetentionProfile { name: "ai-act", days_min: Some(183) },
    RetentionProfile { name: "hipaa", days_min: Some(2_192) },
    RetentionProfile { name: "pci", days_min: Some(365) },
];

/// Their names, for a refusal.
pub(crate) fn names() -> String {
    RETENTION_PROFILES.map(|profile| profile.name).join(", ")
}

/// Whether there is such a profile.
pub(crate) fn is_known(name: &str) -> bool {
    RETENTION_PROFILES.iter().any(|profile| profile.name == name)
}
