//! What a process has used so far, as the kernel counts it: processor time by thread, bytes to disk, memory.
//!
//! Linux alone (`/proc`); elsewhere, and for a process that is gone, everything reads as nothing used.

use std::collections::BTreeMap;
use std::time::Duration;

/// Ticks a second of the times in `/proc/<pid>/stat`: fixed by the kernel's interface.
const TICKS_PER_SECOND: u64 = 100;

/// Counters of one process at one time.
#[derive(Clone, Debug, Default)]
pub(super) struct Usage {
    /// User and system time of all threads, also those that ended.
    pub(super) cpu: Duration,
    /// System time alone.
    pub(super) system: Duration,
    /// Processor time of the threads that run, by name.
    pub(super) threads: BTreeMap<String, Duration>,
    /// Bytes handed to the disk.
    pub(super) written: u64,
    /// Bytes that came from the disk.
    pub(super) read: u64,
    /// Resident bytes now.
    pub(super) resident: u64,
    /// Most resident bytes ever.
    pub(super) resident_max: u64,
}

impl Usage {
    /// Counters of this process.
    pub(super) fn own() -> Usage {
        Usage::of(std::process::id())
    }

    /// Counters of a process of ours.
    pub(super) fn of(pid: u32) -> Usage {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let (io, status) = (read("io"), read("status"));
        let (user, system) = times(&read("stat"));
        Usage {
            cpu: user + system,
            system,
            threads: threads(pid),
            written: number(&io, "write_bytes:"),
            read: number(&io, "read_bytes:"),
            resident: number(&status, "VmRSS:") * 1024,
            resident_max: number(&status, "VmHWM:") * 1024,
        }
    }

    /// What was used since `before`; memory as it is now.
    pub(super) fn since(&self, before: &Usage) -> Usage {
        let threads = self.threads.iter().map(|(name, time)| {
            (name.clone(), time.saturating_sub(before.threads.get(name).copied().unwrap_or_default()))
        });
        Usage {
            cpu: self.cpu.saturating_sub(before.cpu),
            system: self.system.saturating_sub(before.system),
            threads: threads.collect(),
            written: self.written.saturating_sub(before.written),
            read: self.read.saturating_sub(before.read),
            ..self.clone()
        }
    }

    /// The threads that used most, as text; those below a hundredth of `time` are left out.
    pub(super) fn busiest(&self, time: Duration) -> String {
        let mut all: Vec<_> = self.threads.iter().filter(|(_, used)| **used * 100 > time).collect();
        all.sort_by(|a, b| b.1.cmp(a.1));
        let share = |used: &Duration| 100.0 * used.as_secs_f64() / time.as_secs_f64();
        let texts: Vec<_> = all.iter().map(|(name, used)| format!("{name} {:.0} %", share(used))).collect();
        texts.join(", ")
    }
}

/// Bytes of all files below a folder.
pub(super) fn folder_bytes(dir: &std::path::Path) -> std::io::Result<u64> {
    let mut all = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        all += if meta.is_dir() { folder_bytes(&entry.path())? } else { meta.len() };
    }
    Ok(all)
}

/// The value behind a word, in a text of lines `word value`.
fn number(text: &str, word: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(word));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// User and system time of a line of `stat`; the name in it may hold blanks and brackets.
fn times(stat: &str) -> (Duration, Duration) {
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = after.split_whitespace().skip(11).map(|f| f.parse::<u64>().unwrap_or(0));
    let mut next = || Duration::from_millis(fields.next().unwrap_or(0) * 1000 / TICKS_PER_SECOND);
    (next(), next())
}

fn threads(pid: u32) -> BTreeMap<String, Duration> {
    let mut all = BTreeMap::new();
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return all };
    for task in tasks.flatten() {
        let read = |name: &str| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let (user, system) = times(&read("stat"));
        let name = read("comm").trim().to_owned();
        *all.entry(name).or_default() += user + system;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_stat_are_found_behind_an_odd_name() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0";
        assert_eq!(times(stat), (Duration::from_millis(1500), Duration::from_millis(500)));
        assert_eq!(times(""), (Duration::ZERO, Duration::ZERO));
        assert_eq!(number("VmRSS:\t  12 kB\nVmHWM:\t 13 kB\n", "VmHWM:"), 13);
    }

    #[test]
    fn this_process_uses_something() {
        let usage = Usage::own();
        assert!(usage.resident > 0 && usage.resident_max >= usage.resident);
        assert!(!usage.threads.is_empty());
    }
}
