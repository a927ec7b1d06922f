//! Runs other programs, each within a stated time, and says what it runs. Decides nothing.

use std::collections::BTreeMap;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// How often a running program is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Minutes, as a time limit.
pub(crate) const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// Runs it to its end; a failure, or more time than `limit`, is an error. What it started ends with it.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<()> {
    let shown = shown(command);
    eprintln!("+ {shown}");
    let began = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot run {shown}"))?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if began.elapsed() > limit {
            end(&mut child);
            bail!("{shown} ran longer than {} s and was ended", limit.as_secs());
        }
        std::thread::sleep(LOOK);
    };
    ensure!(status.success(), "{shown} failed: {status}");
    eprintln!("+ {shown}: {:.0} s", began.elapsed().as_secs_f64());
    Ok(())
}

/// The same, and nobody hears of it: whether it runs at all.
pub(crate) fn works(command: &mut Command, limit: Duration) -> bool {
    use std::process::Stdio;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return false };
    let began = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if began.elapsed() <= limit => std::thread::sleep(LOOK),
            _ => {
                end(&mut child);
                return false;
            }
        }
    }
}

fn shown(command: &Command) -> String {
    let env = command.get_envs().filter_map(|(name, value)| {
        let value = value?.to_string_lossy();
        Some(format!("{}={value} ", name.to_string_lossy()))
    });
    let words = std::iter::once(command.get_program()).chain(command.get_args()).map(|word| word.to_string_lossy());
    format!("{}{}", env.collect::<String>(), words.collect::<Vec<_>>().join(" "))
}

/// Ends a program and all that it started.
fn end(child: &mut Child) {
    let mut doomed = vec![child.id()];
    let parents = parents();
    let mut at = 0;
    while let Some(parent) = doomed.get(at).copied() {
        doomed.extend(parents.iter().filter(|(_, of)| **of == parent).map(|(process, _)| *process));
        at += 1;
    }
    for process in doomed {
        // One that has ended meanwhile is as good.
        let _ = i32::try_from(process).ok().and_then(Pid::from_raw).map(|pid| kill_process(pid, Signal::KILL));
    }
    let _ = child.wait();
}

/// The parent of every process.
fn parents() -> BTreeMap<u32, u32> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return BTreeMap::new() };
    let parent = |entry: std::fs::DirEntry| {
        let process = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // Behind the name, which may hold anything: state, parent.
        let parent = stat.rsplit(") ").next()?.split(' ').nth(1)?.parse().ok()?;
        Some((process, parent))
    };
    processes.flatten().filter_map(parent).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_takes_too_long_is_ended_with_what_it_started() {
        let began = Instant::now();
        let marker = format!("31.{}", std::process::id());
        let script = format!("sleep {marker} & sleep {marker}");
        let error = run(Command::new("sh").args(["-c", &script]), Duration::from_millis(300)).err();
        assert!(error.is_some_and(|error| error.to_string().contains("ran longer")));
        assert!(began.elapsed() < Duration::from_secs(10));
        let end = Instant::now() + Duration::from_secs(5);
        while runs(&marker) && Instant::now() < end {
            std::thread::sleep(LOOK);
        }
        assert!(!runs(&marker), "what it started goes on");
    }

    fn runs(marker: &str) -> bool {
        let line = |process: &u32| std::fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
        parents().keys().any(|process| line(process).starts_with(&format!("sleep\0{marker}")))
    }

    #[test]
    fn what_fails_is_told_and_what_works_is_known() {
        assert!(run(&mut Command::new("false"), minutes(1)).is_err());
        assert!(run(&mut Command::new("no-such-program"), minutes(1)).is_err());
        assert!(run(&mut Command::new("true"), minutes(1)).is_ok());
        assert!(works(&mut Command::new("true"), minutes(1)) && !works(&mut Command::new("false"), minutes(1)));
        assert!(!works(Command::new("sleep").arg("30"), Duration::from_millis(100)));
    }
}
