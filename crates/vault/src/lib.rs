//! Keys: signing keys, the duplicate key, the snapshot key. Destroying one is its purpose.

mod error;

pub use error::Error;
