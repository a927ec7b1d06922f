//! The queue between those who append and the sequencer: items are taken, refused or drained, each exactly once.
//!
//! Knows nothing of batches, disks and answers. Under `cfg(loom)` it is built from loom's locks, and the models at the
//! end run every order of its steps: `cargo xtask loom`.

use std::collections::VecDeque;
use std::time::Duration;

#[cfg(loom)]
use loom::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(loom))]
use std::sync::{Condvar, Mutex, MutexGuard};

/// What is queued.
pub(crate) trait Item {
    /// Bytes it occupies.
    fn bytes(&self) -> u64;
    /// Entries it holds.
    fn entries(&self) -> usize;
}

/// Why an item was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Closed by [`Handover::close`].
    Closing,
    /// Ended by [`Handover::poison`].
    Poisoned,
    /// No room for it beside what waits.
    Full,
}

/// How much one [`Handover::take`] may give; a larger single item goes alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) bytes: u64,
    pub(crate) entries: usize,
}

struct Queue<T> {
    items: VecDeque<T>,
    bytes: u64,
    closing: bool,
    poisoned: bool,
}

/// The queue.
pub(crate) struct Handover<T> {
    queue: Mutex<Queue<T>>,
    arrived: Condvar,
}

impl<T: Item> Handover<T> {
    pub(crate) fn new() -> Handover<T> {
        let queue = Queue { items: VecDeque::new(), bytes: 0, closing: false, poisoned: false };
        Handover { queue: Mutex::new(queue), arrived: Condvar::new() }
    }

    /// A holder that panicked leaves a queue that is whole between its statements.
    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// Queues an item, or gives it back. One that is larger than `bytes_max` is taken while nothing waits.
    pub(crate) fn push(&self, item: T, bytes_max: u64) -> Result<(), (T, Refused)> {
        let mut queue = self.lock();
        if queue.closing {
            return Err((item, Refused::Closing));
        }
        // Looked at under the lock: `poison` drains under it, so nothing slips in behind.
        if queue.poisoned {
            return Err((item, Refused::Poisoned));
        }
        if queue.bytes > 0 && queue.bytes + item.bytes() > bytes_max {
            return Err((item, Refused::Full));
        }
        queue.bytes += item.bytes();
        queue.items.push_back(item);
        drop(queue);
        self.arrived.notify_one();
        Ok(())
    }

    /// The oldest items, as many as fit into the share; empty after `wait`, `None` once closing and drained, or
    /// poisoned.
    pub(crate) fn take(&self, share: Share, wait: Duration) -> Option<Vec<T>> {
        let mut queue = self.lock();
        if queue.items.is_empty() && !queue.closing && !queue.poisoned {
            queue = self.arrived.wait_timeout(queue, wait).unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
        if queue.poisoned || (queue.closing && queue.items.is_empty()) {
            return None;
        }
        let (mut bytes, mut entries, mut group) = (0, 0, Vec::new());
        while let Some(next) = queue.items.front() {
            let fits = bytes + next.bytes() <= share.bytes && entries + next.entries() <= share.entries;
            if !group.is_empty() && !fits {
                break;
            }
            bytes += next.bytes();
            entries += next.entries();
            group.extend(queue.items.pop_front());
        }
        queue.bytes = queue.bytes.saturating_sub(bytes);
        Some(group)
    }

    /// Nothing is queued any more; what waits is still taken.
    pub(crate) fn close(&self) {
        self.lock().closing = true;
        self.arrived.notify_all();
    }

    /// Nothing is queued or taken any more; answers what waited.
    pub(crate) fn poison(&self) -> VecDeque<T> {
        let mut queue = self.lock();
        queue.poisoned = true;
        queue.bytes = 0;
        let items = std::mem::take(&mut queue.items);
        drop(queue);
        self.arrived.notify_all();
        items
    }
}

#[cfg(test)]
struct Number(u64);

#[cfg(test)]
impl Item for Number {
    fn bytes(&self) -> u64 {
        self.0
    }
    fn entries(&self) -> usize {
        1
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const SHARE: Share = Share { bytes: 10, entries: 3 };
    const NO_WAIT: Duration = Duration::ZERO;

    fn taken(queue: &Handover<Number>) -> Option<Vec<u64>> {
        queue.take(SHARE, NO_WAIT).map(|group| group.into_iter().map(|n| n.0).collect())
    }

    #[test]
    fn a_share_is_filled_in_order_and_a_large_item_goes_alone() {
        let queue = Handover::new();
        for n in [4, 5, 2, 30, 1, 1, 1, 1] {
            assert!(queue.push(Number(n), 1_000).is_ok());
        }
        assert_eq!(queue.bytes(), 45);
        for group in [vec![4, 5], vec![2], vec![30], vec![1, 1, 1], vec![1], vec![]] {
            assert_eq!(taken(&queue), Some(group));
        }
        assert_eq!(queue.bytes(), 0);
    }

    #[test]
    fn what_is_full_closed_or_poisoned_gives_the_item_back() {
        let queue = Handover::new();
        assert!(queue.push(Number(50), 10).is_ok(), "nothing waits: taken whatever its size");
        assert!(matches!(queue.push(Number(1), 10), Err((Number(1), Refused::Full))));
        queue.close();
        assert!(matches!(queue.push(Number(1), 100), Err((Number(1), Refused::Closing))));
        assert_eq!(taken(&queue), Some(vec![50]));
        assert_eq!(taken(&queue), None);
        let queue = Handover::new();
        assert!(queue.push(Number(7), 10).is_ok());
        assert_eq!(queue.poison().len(), 1);
        assert!(matches!(queue.push(Number(1), 100), Err((Number(1), Refused::Poisoned))));
        assert_eq!((taken(&queue), queue.bytes()), (None, 0));
    }
}

#[cfg(all(test, loom))]
mod models {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    const SHARE: Share = Share { bytes: 1_000, entries: 1 };

    /// Runs a part of the model on a thread of its own.
    fn beside(
        queue: &Arc<Handover<Number>>,
        run: impl FnOnce(&Handover<Number>) -> u64 + 'static,
    ) -> thread::JoinHandle<u64> {
        let queue = Arc::clone(queue);
        thread::spawn(move || run(&queue))
    }

    /// Takes until the end; counts what it took.
    fn drain(queue: &Handover<Number>) -> u64 {
        let mut took = 0;
        while let Some(group) = queue.take(SHARE, Duration::from_secs(1)) {
            took += group.len() as u64;
        }
        took
    }

    fn produce(queue: &Handover<Number>, items: u64) -> u64 {
        (0..items).map(|_| u64::from(queue.push(Number(1), 2).is_err())).sum()
    }

    #[test]
    fn loom_a_close_loses_and_doubles_nothing() {
        loom::model(|| {
            let queue = Arc::new(Handover::new());
            let producer = beside(&queue, |queue| produce(queue, 2));
            let consumer = beside(&queue, drain);
            queue.close();
            let (refused, took) = (producer.join().unwrap(), consumer.join().unwrap());
            assert_eq!(refused + took, 2, "each item was refused or taken, once");
            assert_eq!(queue.bytes(), 0);
        });
    }

    #[test]
    fn loom_a_poison_answers_everything() {
        loom::model(|| {
            let queue = Arc::new(Handover::new());
            let producer = beside(&queue, |queue| produce(queue, 2));
            let consumer = beside(&queue, drain);
            let drained = queue.poison().len() as u64;
            let (refused, took) = (producer.join().unwrap(), consumer.join().unwrap());
            assert_eq!(refused + took + drained, 2, "each item was refused, taken or drained, once");
        });
    }

    #[test]
    fn loom_a_sleeping_sequencer_hears_of_each_item() {
        loom::model(|| {
            let queue = Arc::new(Handover::new());
            let consumer = beside(&queue, |queue| {
                let mut took = 0;
                while took < 2 {
                    took += queue.take(SHARE, Duration::from_secs(1)).map_or(2, |group| group.len() as u64);
                }
                took
            });
            let other = beside(&queue, |queue| produce(queue, 1));
            // A wake-up that is lost leaves the consumer asleep: loom calls that a deadlock.
            assert_eq!(produce(&queue, 1) + other.join().unwrap(), 0);
            assert_eq!(consumer.join().unwrap(), 2);
        });
    }
}
