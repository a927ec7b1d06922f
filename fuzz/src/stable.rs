//! Runs a target without libFuzzer, on a stable compiler: every input of its corpus, then changes of them drawn from a
//! seed, for a stated time. Blind: what an input reaches does not steer the next one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use testkit::Rng;

/// Longest input that is made.
const INPUT_BYTES_MAX: usize = 64 << 10;
/// Most changes to one input.
const CHANGES_MAX: u64 = 6;
/// Most bytes that one change removes, repeats or inserts.
const PIECE_BYTES_MAX: u64 = 64;
/// Longest time that one input may take.
const ONE_MAX: Duration = Duration::from_secs(10);
/// Bytes that parsers ask for by name, and numbers at the edge of their types.
const WORDS: [&[u8]; 16] = [
    b"\n", b"\0", b"\"", b"\\u0000", b"{", b"}", b"[", b"]", b"-", b"+", b"0", b"18446744073709551615", b"1e999",
    b"\xff\xff\xff\xff", b"\xe2\x80\x94 ", b"\xed\xa0\x80",
];

/// `CORPUS SECONDS SEED`, and the target: prints how often it ran; a panic ends it with the input that brought it.
pub fn run(target: fn(&[u8])) -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let [name, corpus, seconds, seed] = args.as_slice() else {
        eprintln!("usage: TARGET CORPUS SECONDS SEED");
        return ExitCode::from(2);
    };
    let (Ok(seconds), Ok(seed)) = (seconds.parse(), seed.parse()) else {
        eprintln!("SECONDS and SEED are numbers");
        return ExitCode::from(2);
    };
    let name = Path::new(name).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let inputs = match read(Path::new(corpus)) {
        Ok(inputs) if !inputs.is_empty() => inputs,
        other => {
            eprintln!("{name}: no corpus in {corpus}: {:?}", other.err());
            return ExitCode::FAILURE;
        }
    };
    let (mut rng, mut runs, began) = (Rng::new(seed), 0_u64, Instant::now());
    let end = began + Duration::from_secs(seconds);
    let mut given = inputs.iter();
    while runs < inputs.len() as u64 || Instant::now() < end {
        let input = given.next().cloned().unwrap_or_else(|| changed(&mut rng, &inputs));
        let start = Instant::now();
        let held = catch_unwind(AssertUnwindSafe(|| target(&input))).is_ok();
        runs += 1;
        if !held || start.elapsed() > ONE_MAX {
            let why = if held { "took too long" } else { "panicked" };
            eprintln!("{name}: input {runs} of seed {seed} {why}; it is {}", keep(&name, &input));
            return ExitCode::FAILURE;
        }
    }
    let total = began.elapsed().as_secs_f64();
    println!("{name}: {runs} inputs in {total:.0} s, {} of them given, seed {seed}", inputs.len());
    ExitCode::SUCCESS
}

/// All files of a folder, in the order of their names.
fn read(corpus: &Path) -> std::io::Result<Vec<Vec<u8>>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(corpus)?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
    paths.sort();
    paths.iter().map(std::fs::read).collect()
}

/// Keeps the input where cargo-fuzz keeps its own.
fn keep(name: &str, input: &[u8]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts").join(name);
    let path = folder.join("stable");
    match std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, input)) {
        Ok(()) => path.display().to_string(),
        Err(error) => format!("{input:?} ({error})"),
    }
}

fn changed(rng: &mut Rng, inputs: &[Vec<u8>]) -> Vec<u8> {
    let mut input = inputs[rng.below_usize(inputs.len())].clone();
    for _ in 0..1 + rng.below(CHANGES_MAX) {
        change(rng, &mut input, inputs);
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn change(rng: &mut Rng, input: &mut Vec<u8>, inputs: &[Vec<u8>]) {
    let at = rng.below_usize(input.len() + 1);
    let piece = usize::try_from(1 + rng.below(PIECE_BYTES_MAX)).unwrap_or(1);
    let end = (at + piece).min(input.len());
    match rng.below(9) {
        0 | 1 if at < input.len() => input[at] ^= 1 << rng.below(8),
        2 if at < input.len() => input[at] = rng.below(256) as u8,
        3 if at < input.len() => input[at] = input[at].wrapping_add(if rng.one_in(2) { 1 } else { 255 }),
        4 => drop(input.drain(at..end)),
        5 => {
            let again = input[at..end].to_vec();
            let to = rng.below_usize(input.len() + 1);
            drop(input.splice(to..to, again));
        }
        6 => {
            let word = WORDS[rng.below_usize(WORDS.len())];
            // Over what is there, or before it.
            let over = if rng.one_in(2) { (at + word.len()).min(input.len()) } else { at };
            drop(input.splice(at..over, word.iter().copied()));
        }
        7 => {
            let other = &inputs[rng.below_usize(inputs.len())];
            let from = rng.below_usize(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        _ => {
            let bytes: Vec<u8> = (0..piece.min(8)).map(|_| rng.below(256) as u8).collect();
            drop(input.splice(at..at, bytes));
        }
    }
}

/// A target: under cargo-fuzz that of libFuzzer, else a program that runs it as this module says.
#[cfg(not(fuzzing))]
#[macro_export]
macro_rules! fuzz_target {
    (|$data:ident: &[u8]| $body:expr) => {
        fn main() -> std::process::ExitCode {
            $crate::stable::run(|$data: &[u8]| $body)
        }
    };
}
