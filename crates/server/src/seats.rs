//! Seats for answers that hold much or last long: so many at one time, so many of one token.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::{self, Stream, TryStreamExt};

use crate::problem::Problem;

/// The seats of one kind of answer.
pub(crate) struct Seats {
    /// Seats together, and of one token.
    most: (usize, usize),
    taken: Mutex<HashMap<String, usize>>,
}

/// A seat, until it is dropped.
pub(crate) struct Seat {
    seats: Arc<Seats>,
    token: String,
}

impl Seats {
    pub(crate) fn of(all: usize, token: usize) -> Arc<Seats> {
        Arc::new(Seats { most: (all, token), taken: Mutex::default() })
    }

    /// Errors: 429.
    pub(crate) fn take(self: &Arc<Self>, token: &str) -> Result<Seat, Problem> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = taken.get(token).copied().unwrap_or(0);
        if mine >= self.most.1 || taken.values().sum::<usize>() >= self.most.0 {
            return Err(Problem::new("busy", "too many answers of this kind are under way at the moment"));
        }
        taken.insert(token.to_owned(), mine + 1);
        Ok(Seat { seats: Arc::clone(self), token: token.to_owned() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.token) {
            Some(mine) if *mine > 1 => *mine -= 1,
            _ => drop(taken.remove(&self.token)),
        }
    }
}

/// A body that keeps its seat, or what else it costs, until the last piece was taken by the connection; a page is asked
/// for once the one before it was taken.
pub(crate) fn seated<P, S>(pages: impl Stream<Item = io::Result<P>> + Send + 'static, seat: S) -> Body
where
    P: Into<Bytes> + 'static,
    S: Send + 'static,
{
    let pieces = stream::try_unfold((Box::pin(pages), Bytes::new(), seat), |(mut pages, mut rest, seat)| async move {
        while rest.is_empty() {
            match pages.try_next().await? {
                Some(page) => rest = page.into(),
                None => return Ok::<_, io::Error>(None),
            }
        }
        let piece = rest.split_to(rest.len().min(PIECE_BYTES));
        Ok(Some((piece, (pages, rest, seat))))
    });
    Body::from_stream(pieces)
}

/// Bytes that the connection gets at once.
const PIECE_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[test]
    fn one_token_does_not_take_all_seats() {
        let seats = Seats::of(10, 4);
        let mut held: Vec<Seat> = (0..5).filter_map(|_| seats.take("a").ok()).collect();
        assert_eq!((held.len(), seats.take("a").err().map(|p| p.status)), (4, Some(429)));
        held.extend((0..10).filter_map(|n| seats.take(&format!("b{n}")).ok()));
        assert_eq!((held.len(), seats.take("c").is_ok()), (10, false));
        held.clear();
        assert!(seats.take("a").is_ok() && seats.taken.lock().is_ok_and(|taken| taken.is_empty()));
    }

    #[tokio::test]
    async fn a_body_comes_whole_and_gives_its_seat_back() {
        let seats = Seats::of(1, 1);
        for bytes in [vec![], vec![7; 1], vec![7; PIECE_BYTES], vec![7; 3 * PIECE_BYTES + 5]] {
            let seat = seats.take("a").unwrap_or_else(|_| unreachable!());
            let pages = vec![Ok(bytes.clone()), Ok(Vec::new()), Ok(vec![9; 3])];
            let bytes = [bytes, vec![9; 3]].concat();
            let body = seated(stream::iter(pages), seat);
            assert!(seats.take("a").is_err());
            let got = body.collect().await.map(|whole| whole.to_bytes().to_vec());
            assert_eq!(got.ok(), Some(bytes));
            assert!(seats.take("a").is_ok());
        }
    }
}
