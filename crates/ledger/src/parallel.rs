//! Runs pieces of work that do not depend on one another on a few threads. Keeps no thread and no queue.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Does pieces `0..pieces` on up to `threads` threads, this one included; results in order.
///
/// Each thread makes its own `state` first. The first error ends it all.
pub(crate) fn map<S, T: Send>(
    threads: usize,
    pieces: usize,
    state: impl Fn() -> io::Result<S> + Sync,
    work: impl Fn(usize, &mut S) -> io::Result<T> + Sync,
) -> io::Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut state = state()?;
        let mut done = Vec::new();
        loop {
            let piece = next.fetch_add(1, Ordering::Relaxed);
            if piece >= pieces {
                return Ok(done);
            }
            match work(piece, &mut state) {
                Ok(result) => done.push((piece, result)),
                Err(error) => {
                    next.store(pieces, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    };
    let parts = std::thread::scope(|scope| {
        // A thread that the system does not give is no failure: the others do its pieces. `Scope::spawn` would panic.
        let spawn = |_| std::thread::Builder::new().spawn_scoped(scope, run).ok();
        let others: Vec<_> = (1..threads.min(pieces)).map_while(spawn).collect();
        let mut parts = vec![run()];
        parts.extend(others.into_iter().map(|other| other.join().unwrap_or_else(|_| Err(stopped()))));
        parts
    });
    let mut all = Vec::with_capacity(pieces);
    for part in parts {
        all.extend(part?);
    }
    all.sort_unstable_by_key(|(piece, _)| *piece);
    Ok(all.into_iter().map(|(_, result)| result).collect())
}

fn stopped() -> io::Error {
    io::Error::other("a thread of the verification stopped")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn all_pieces_are_done_once_and_in_order() {
        for threads in [0, 1, 2, 5] {
            for pieces in [0, 1, 2, 100] {
                let done = map(threads, pieces, || Ok(()), |piece, ()| Ok(piece * 3)).unwrap();
                assert_eq!(done, (0..pieces).map(|piece| piece * 3).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn an_error_ends_it() {
        let failed = map(3, 1000, || Ok(()), |piece, ()| if piece == 7 { Err(stopped()) } else { Ok(()) });
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::Other);
        map(2, 1, || Err::<(), _>(stopped()), |_, ()| Ok(())).unwrap_err();
    }
}
