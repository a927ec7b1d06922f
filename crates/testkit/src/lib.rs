//! Development only: virtual clock, seeded randomness, simulated disk, entries and keys for tests.
//!
//! Nothing of it is linked into the binary. A failure found with it repeats from its seed alone.

pub mod audit;
pub mod clock;
pub mod entries;
pub mod folder;
pub mod keys;
pub mod progress;
pub mod random;
pub mod sim_disk;
pub mod without;

pub use clock::VirtualClock;
pub use progress::{Progress, is_ci};
pub use random::{Rng, random};
pub use sim_disk::{Fault, FaultKind, OpKind, SimDisk, Survivors};
pub use without::do_without;
