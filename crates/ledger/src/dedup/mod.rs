//! The duplicate index of a ledger (docs/formats/views.md): which sealed entry has an identity, for its whole life.
//!
//! `bloom` answers most questions in memory, `run` reads one file, `write` makes one, `merge` joins several. Nothing
//! here is believed without its MAC, and a hit is only a hint: whoever asks reads the sealed tags again. Entries that
//! are not sealed yet are the tail's.

mod bloom;
mod merge;
mod run;
#[cfg(test)]
mod tests;
mod write;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use crate::durable::Disk;
use crate::error::OpenError;
use crate::limits::{DEDUP_BUILD_ENTRIES, DEDUP_FAN};
use crate::sealed::SealedSets;
use crate::types::Mac;

pub(crate) use merge::Merge;
use run::Run;
use write::RunWriter;

/// Identity tag and index: what a run is sorted by.
type Record = ([u8; 16], u64);

/// Where the runs lie and under which key their MACs are.
#[derive(Clone)]
struct Place {
    disk: Arc<dyn Disk>,
    /// `views/<ULID>/dedup`.
    dir: PathBuf,
    ulid: String,
    mac: Mac,
}

/// The index of one audit ledger.
pub(crate) struct DedupIndex {
    place: Place,
    /// Ascending, without overlaps; a gap is a run that is missing.
    runs: RwLock<Arc<Vec<Arc<Run>>>>,
}

/// An answer that the index cannot give now; the run that failed is out of it, to be made again.
pub(crate) struct Unsure(pub(crate) &'static str);

const REBUILT: &str = "the duplicate index is being rebuilt";

/// The index at one moment.
pub(crate) struct Look<'a> {
    index: &'a DedupIndex,
    runs: Arc<Vec<Arc<Run>>>,
}

impl Look<'_> {
    /// The first sealed entry of an identity, as far as the index knows.
    ///
    /// # Errors
    /// `Unsure` where a run cannot be read or fails its MAC: it is dropped, and the entries it covered are a gap.
    pub(crate) fn find(&self, identity: &[u8; 16]) -> Result<Option<u64>, Unsure> {
        for run in self.runs.iter() {
            match run.find(&self.index.place, identity) {
                Ok(None) => {}
                Ok(Some(index)) => return Ok(Some(index)),
                Err(_) => {
                    self.index.drop_run(run);
                    return Err(Unsure(REBUILT));
                }
            }
        }
        Ok(None)
    }

    /// The sealed tags say otherwise: the run that covers the entry is dropped.
    pub(crate) fn refute(&self, index: u64) -> Unsure {
        if let Some(run) = self.runs.iter().find(|run| run.range.contains(&index)) {
            self.index.drop_run(run);
        }
        Unsure(REBUILT)
    }
}

fn gap(runs: &[Arc<Run>], end: u64) -> Option<Range<u64>> {
    let mut at = 0;
    for run in runs {
        if run.range.start > at {
            return Some(at..run.range.start.min(end)).filter(|gap| !gap.is_empty());
        }
        at = run.range.end;
    }
    Some(at..end).filter(|gap| !gap.is_empty())
}

impl DedupIndex {
    /// Takes up the runs that are whole as far as a look at their headers and filters can tell; all other files of the
    /// folder are removed. `end` is the sealed end: no run can know more. Fails never: what is missing is made again.
    pub(crate) fn open(disk: &Arc<dyn Disk>, views: &Path, ulid: &str, mac: &Mac, end: u64) -> DedupIndex {
        let place =
            Place { disk: Arc::clone(disk), dir: views.join("dedup"), ulid: ulid.to_owned(), mac: Arc::clone(mac) };
        let mut found = Vec::new();
        for name in disk.list(&place.dir).unwrap_or_default() {
            let range = run::range_of(&name).filter(|range| range.end <= end);
            match range.and_then(|range| Run::open(&place, range).ok()) {
                Some(run) => found.push(Arc::new(run)),
                None => drop(disk.remove(&place.dir.join(&name))),
            }
        }
        // A merge that a crash interrupted leaves its sources beside it: the longest from each start counts.
        found.sort_by_key(|run| (run.range.start, u64::MAX - run.range.end));
        let mut runs: Vec<Arc<Run>> = Vec::new();
        for run in found {
            if runs.last().is_none_or(|last| last.range.end <= run.range.start) {
                runs.push(run);
            } else {
                let _ = disk.remove(&run.path);
            }
        }
        DedupIndex { place, runs: RwLock::new(Arc::new(runs)) }
    }

    fn runs(&self) -> Arc<Vec<Arc<Run>>> {
        Arc::clone(&self.runs.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Run>>)) {
        let mut runs = self.runs.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = Vec::clone(&runs);
        change(&mut next);
        next.sort_by_key(|run| run.range.start);
        *runs = Arc::new(next);
    }

    /// The first entries below `end` that no run covers.
    pub(crate) fn gap(&self, end: u64) -> Option<Range<u64>> {
        gap(&self.runs(), end)
    }

    /// Entries below `end` that no run covers.
    pub(crate) fn missing(&self, end: u64) -> u64 {
        end.saturating_sub(self.runs().iter().map(|run| run.range.end - run.range.start).sum())
    }

    /// The index as it is now, if it covers all entries below `end`.
    ///
    /// # Errors
    /// `Unsure` where there is a gap.
    pub(crate) fn look(&self, end: u64) -> Result<Look<'_>, Unsure> {
        let look = Look { index: self, runs: self.runs() };
        if gap(&look.runs, end).is_some() { Err(Unsure(REBUILT)) } else { Ok(look) }
    }

    /// Takes a run out of the index, and its file away.
    fn drop_run(&self, run: &Arc<Run>) {
        let mut held = false;
        self.change(|runs| {
            held = runs.iter().any(|other| Arc::ptr_eq(run, other));
            runs.retain(|other| !Arc::ptr_eq(run, other));
        });
        if held {
            // Left behind it would be opened again; where that fails the rebuilt one takes its name.
            let _ = self.place.disk.remove(&run.path);
        }
    }

    /// Makes the run of the first sets of a gap, from their tags. Returns whether there was a gap.
    ///
    /// # Errors
    /// `Corrupt` where tags are not those of the manifest; `Io`.
    pub(crate) fn fill(&self, sets: &SealedSets) -> Result<bool, OpenError> {
        let Some(gap) = self.gap(sets.end()) else { return Ok(false) };
        let mut records: Vec<Record> = Vec::new();
        let mut end = gap.start;
        for set in sets.ranges().into_iter().filter(|set| gap.start <= set.start && set.end <= gap.end) {
            let more = records.len() as u64 + (set.end - set.start);
            if !records.is_empty() && more > DEDUP_BUILD_ENTRIES {
                break;
            }
            let tags = sets.tags_of_set(set.start)?;
            records.extend(tags.into_iter().zip(set.clone()).map(|(tags, index)| (tags.identity, index)));
            end = set.end;
        }
        if end == gap.start {
            // A run that begins or ends within a set was not made by this release: no gap could end there.
            self.change(Vec::clear);
            return Ok(true);
        }
        records.sort_unstable();
        self.ready_folder()?;
        let mut writer = RunWriter::begin(&self.place, gap.start..end)?;
        for record in records {
            writer.push(record)?;
        }
        let run = Arc::new(writer.finish()?);
        self.change(|runs| runs.push(run));
        Ok(true)
    }

    /// The next runs to be merged: of the smallest size of which there are enough in a row.
    pub(crate) fn merge_due(&self) -> Option<Merge> {
        let runs = self.runs();
        let level = |run: &Run| (run.range.end - run.range.start).max(1).ilog2() / DEDUP_FAN.ilog2();
        let smallest = runs.iter().map(|run| level(run)).min()?;
        for most in smallest..=u64::BITS {
            let ends = runs.iter().rev().take_while(|run| level(run) <= most).count();
            let group: Vec<_> = runs.iter().skip(runs.len() - ends).cloned().collect();
            let adjoin = group.windows(2).all(|pair| matches!(pair, [a, b] if a.range.end == b.range.start));
            if group.len() >= DEDUP_FAN && adjoin {
                return Some(Merge::new(group));
            }
            if ends == runs.len() {
                break;
            }
        }
        None
    }

    /// Goes on with a merge. Returns whether it came to its end.
    ///
    /// # Errors
    /// `Io` where the new run cannot be written. A source that fails is dropped, and the merge ends with it.
    pub(crate) fn merge(&self, merge: &mut Merge) -> Result<bool, OpenError> {
        let whole = |run: &Arc<Run>| self.runs().iter().any(|other| Arc::ptr_eq(run, other));
        if !merge.sources().all(whole) {
            return Ok(true);
        }
        let Some(made) = merge.step(&self.place, |failed| self.drop_run(failed))? else { return Ok(merge.is_over()) };
        let made = Arc::new(made);
        let range = made.range.clone();
        let sources: Vec<_> = merge.sources().cloned().collect();
        self.change(|runs| {
            runs.retain(|run| !sources.iter().any(|source| Arc::ptr_eq(run, source)));
            runs.push(made);
        });
        for source in sources.iter().filter(|source| source.range != range) {
            let _ = self.place.disk.remove(&source.path);
        }
        Ok(true)
    }

    /// `views/<ULID>/dedup`, made where it is missing.
    fn ready_folder(&self) -> Result<(), OpenError> {
        let disk = &self.place.disk;
        let dir = &self.place.dir;
        let exists = disk.exists(dir).map_err(OpenError::io("stat", dir))?;
        let Some(parent) = dir.parent().filter(|_| !exists) else { return Ok(()) };
        for dir in [parent, dir] {
            disk.create_dir(dir).map_err(OpenError::io("create", dir))?;
            if let Some(above) = dir.parent() {
                disk.sync_dir(above).map_err(OpenError::io("fsync", above))?;
            }
        }
        Ok(())
    }

    /// Runs there are, and bytes of their filters.
    #[cfg(test)]
    pub(crate) fn figures(&self) -> (usize, usize) {
        let runs = self.runs();
        (runs.len(), runs.iter().map(|run| run.bloom.bytes().len()).sum())
    }
}

impl Place {
    /// docs/formats/views.md: the MAC of a numbered part of a file.
    fn mac(&self, name: &str, number: u64, bytes: &[u8]) -> [u8; 32] {
        (self.mac)(&[b"proofbook/views/v1", self.ulid.as_bytes(), name.as_bytes(), &number.to_be_bytes(), bytes])
    }
}

/// Damage of a view: the file and what is wrong are nobody's evidence, so it is only said that it fails.
fn fails() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a part of the duplicate index fails its MAC")
}
