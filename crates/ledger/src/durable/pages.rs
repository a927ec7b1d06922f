//! A stretch of a file in memory, placed so that the system can read into it past its cache.

use std::ops::Range;

/// Alignment of offset, length and address of such a read: the largest sector in use.
const PAGE: usize = 4096;

/// Bytes of a file and room around them. Kept for its memory.
#[derive(Debug, Default)]
pub struct Pages {
    buffer: Vec<u8>,
    held: Range<usize>,
}

impl Pages {
    /// The bytes of the last read.
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(self.held.clone()).unwrap_or_default()
    }

    /// The same, to be changed in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.held.clone()).unwrap_or_default()
    }

    /// Room for `len` bytes as [`bytes`](Self::bytes), aligned to nothing.
    pub fn room(&mut self, len: usize) -> &mut [u8] {
        self.grow(len);
        self.held = 0..len;
        self.bytes_mut()
    }

    /// Room for the whole pages of a file that hold `len` bytes at `offset`, which become [`bytes`](Self::bytes), and
    /// where in the file these pages begin.
    pub(super) fn aligned_room(&mut self, offset: u64, len: usize) -> (u64, &mut [u8]) {
        let before = usize::try_from(offset % PAGE as u64).unwrap_or(0);
        let span = (before + len).next_multiple_of(PAGE);
        self.grow(span + PAGE);
        let start = self.buffer.as_ptr().align_offset(PAGE);
        self.held = start + before..start + before + len;
        (offset - before as u64, self.buffer.get_mut(start..start + span).unwrap_or_default())
    }

    /// Only growth is filled, and what is there stays: a read follows that replaces it.
    fn grow(&mut self, len: usize) {
        if self.buffer.len() < len {
            self.buffer.resize(len, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_aligned_and_holds_what_was_asked() {
        let mut pages = Pages::default();
        for (offset, len) in [(0, 1), (4095, 2), (4096, 4096), (10_000, 100_000), (7, 9)] {
            let (from, room) = pages.aligned_room(offset, len);
            assert_eq!((from % 4096, room.len() % 4096, room.as_ptr().align_offset(4096)), (0, 0, 0));
            let skip = usize::try_from(offset - from).unwrap_or(0);
            assert!(skip + len <= room.len());
            room.fill(0);
            if let Some(part) = room.get_mut(skip..skip + len) {
                part.fill(7);
            }
            assert!(pages.bytes().len() == len && pages.bytes().iter().all(|b| *b == 7));
        }
        pages.room(3).copy_from_slice(b"abc");
        assert_eq!(pages.bytes(), b"abc");
    }
}
