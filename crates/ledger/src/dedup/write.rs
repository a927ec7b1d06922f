//! Makes one run, whole under its name or not there: blocks first, filter and header last, then sync and rename.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::bloom::Bloom;
use super::run::{self, BLOCK_BYTES, BLOCK_RECORDS, FIRST_BLOCK, HEADER_BYTES, MAC_BYTES, Run};
use super::{Place, Record};
use crate::durable::DiskFile;
use crate::error::OpenError;

/// Bytes that are gathered before a write.
const WRITE_BYTES: usize = 1 << 20;

/// A run that is being written. Dropped unfinished it leaves a `.tmp` file, which the next start removes.
pub(super) struct RunWriter {
    place: Place,
    range: Range<u64>,
    name: String,
    tmp: PathBuf,
    file: Arc<dyn DiskFile>,
    bloom: Bloom,
    block: Vec<u8>,
    records: usize,
    blocks: u64,
    buffer: Vec<u8>,
    written: u64,
}

impl RunWriter {
    pub(super) fn begin(place: &Place, range: Range<u64>) -> Result<RunWriter, OpenError> {
        let name = run::name(&range);
        let tmp = place.dir.join(format!("{name}.tmp"));
        let disk = &place.disk;
        if disk.exists(&tmp).map_err(OpenError::io("stat", &tmp))? {
            disk.remove(&tmp).map_err(OpenError::io("remove", &tmp))?;
        }
        let file = disk.create_new(&tmp).map_err(OpenError::io("create", &tmp))?;
        let bloom = Bloom::new(range.end - range.start);
        let written = (HEADER_BYTES + MAC_BYTES + bloom.bytes().len()) as u64;
        Ok(RunWriter {
            place: place.clone(),
            range,
            name,
            tmp,
            file,
            bloom,
            block: Vec::with_capacity(BLOCK_BYTES),
            records: 0,
            blocks: 0,
            buffer: Vec::new(),
            written,
        })
    }

    /// Adds the next record in their order.
    pub(super) fn push(&mut self, (identity, index): Record) -> Result<(), OpenError> {
        self.bloom.add(&identity);
        self.block.extend_from_slice(&identity);
        self.block.extend_from_slice(&index.to_be_bytes());
        self.records += 1;
        if self.records == BLOCK_RECORDS { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> Result<(), OpenError> {
        if self.records == 0 {
            return Ok(());
        }
        self.block.resize(BLOCK_BYTES - MAC_BYTES - 8, 0xff);
        self.block.extend_from_slice(&[0; 8]);
        let mac = self.place.mac(&self.name, FIRST_BLOCK + self.blocks, &self.block);
        self.buffer.extend_from_slice(&self.block);
        self.buffer.extend_from_slice(&mac);
        self.block.clear();
        self.records = 0;
        self.blocks += 1;
        if self.buffer.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), OpenError> {
        self.file.write_all_at(&[&self.buffer], self.written).map_err(OpenError::io("write", &self.tmp))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Returned = the run is there for good, and open.
    pub(super) fn finish(mut self) -> Result<Run, OpenError> {
        self.end_block()?;
        self.flush()?;
        let header = run::header(&self.range);
        let bits = self.bloom.bytes();
        let macs = [self.place.mac(&self.name, 0, &header), self.place.mac(&self.name, 1, bits)];
        let head: [&[u8]; 4] = [&header, &macs[0], bits, &macs[1]];
        self.file.write_all_at(&head, 0).map_err(OpenError::io("write", &self.tmp))?;
        self.file.sync_data().map_err(OpenError::io("fdatasync", &self.tmp))?;
        let path = self.place.dir.join(&self.name);
        // Crash: `.tmp`, removed at the next start. Behind the rename: one run more, which its sources do not need.
        self.place.disk.rename(&self.tmp, &path).map_err(OpenError::io("rename", &path))?;
        self.place.disk.sync_dir(&self.place.dir).map_err(OpenError::io("fsync", &self.place.dir))?;
        Run::open(&self.place, self.range).map_err(OpenError::io("read back", &path))
    }
}
