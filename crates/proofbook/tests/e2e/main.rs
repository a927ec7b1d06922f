//! The shipped binary from end to end: started, fed, stopped, killed and broken as an operator's machine would do it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::string_slice,
    reason = "tests"
)]

mod faults;
mod hostile;
mod http;
mod judged;
mod kill;
mod reading;
mod real;
mod rig;
mod stop;
mod strace;
mod tls;
mod tokens;
mod writers;
