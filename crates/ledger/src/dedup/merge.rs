//! Joins neighbouring runs into one, some records at a time, so that sealing never waits for a large merge.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::Arc;

use super::run::{Run, blocks_of};
use super::write::RunWriter;
use super::{Place, Record};
use crate::error::OpenError;
use crate::limits::DEDUP_MERGE_STEP;

/// A merge under way.
pub(crate) struct Merge {
    sources: Vec<Source>,
    writer: Option<RunWriter>,
    /// The next record of each source.
    heads: BinaryHeap<Reverse<(Record, usize)>>,
    over: bool,
}

struct Source {
    run: Arc<Run>,
    next_block: u64,
    records: std::vec::IntoIter<Record>,
}

impl Merge {
    /// The runs adjoin and are in order.
    pub(super) fn new(runs: Vec<Arc<Run>>) -> Merge {
        let source = |run| Source { run, next_block: 0, records: Vec::new().into_iter() };
        let sources = runs.into_iter().map(source).collect();
        Merge { sources, writer: None, heads: BinaryHeap::new(), over: false }
    }

    pub(super) fn sources(&self) -> impl Iterator<Item = &Arc<Run>> {
        self.sources.iter().map(|source| &source.run)
    }

    /// It ended without a result.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Goes on; gives the new run once it is whole. A source that fails is handed to `failed`, and that is the end.
    pub(super) fn step(&mut self, place: &Place, failed: impl Fn(&Arc<Run>)) -> Result<Option<Run>, OpenError> {
        if self.writer.is_none() {
            let (Some(first), Some(last)) = (self.sources.first(), self.sources.last()) else {
                self.over = true;
                return Ok(None);
            };
            self.writer = Some(RunWriter::begin(place, first.run.range.start..last.run.range.end)?);
            for at in 0..self.sources.len() {
                self.advance(place, at, &failed);
            }
        }
        for _ in 0..DEDUP_MERGE_STEP {
            if self.over {
                return Ok(None);
            }
            let Some(Reverse((record, at))) = self.heads.pop() else {
                self.over = true;
                return self.writer.take().map(RunWriter::finish).transpose();
            };
            if let Some(writer) = &mut self.writer {
                writer.push(record)?;
            }
            self.advance(place, at, &failed);
        }
        Ok(None)
    }

    fn advance(&mut self, place: &Place, at: usize, failed: &impl Fn(&Arc<Run>)) {
        let Some(source) = self.sources.get_mut(at) else { return };
        match source.next(place) {
            Ok(Some(record)) => self.heads.push(Reverse((record, at))),
            Ok(None) => {}
            Err(_) => {
                failed(&source.run);
                self.over = true;
            }
        }
    }
}

impl Source {
    fn next(&mut self, place: &Place) -> io::Result<Option<Record>> {
        if self.records.len() == 0 && self.next_block < blocks_of(self.run.records()) {
            self.records = self.run.block(place, self.next_block)?.into_iter();
            self.next_block += 1;
        }
        Ok(self.records.next())
    }
}
