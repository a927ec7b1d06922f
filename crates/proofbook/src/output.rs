//! Everything that reaches a terminal goes through here, so that no byte of an event can steer it.
//!
//! Fetches nothing and decides nothing.

use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

use serde_json::Value;

/// Whether standard output is a terminal and colours are wanted.
pub(crate) fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Text with control characters, escape sequences and direction overrides made visible.
pub(crate) fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || steers(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// The same for our own text of several lines.
pub(crate) fn safe_lines(text: &str) -> String {
    text.lines().map(safe).collect::<Vec<_>>().join("\n")
}

/// A line on standard output; the caller has made foreign text safe.
pub(crate) fn line(text: &str) {
    if LOST.get().is_none()
        && let Err(error) = writeln!(std::io::stdout(), "{text}")
    {
        let _ = LOST.set(error);
    }
}

/// Why standard output is not written to any more. A closed pipe (`| head`) is the reader's right; anything else is a
/// failure. Either way the command goes on, so that its exit code still says how it went.
pub(crate) fn lost() -> Option<&'static std::io::Error> {
    LOST.get()
}

/// The first failure of standard output.
static LOST: OnceLock<std::io::Error> = OnceLock::new();

/// A line on standard error.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// JSON on one line. serde_json escapes C0; DEL, C1 and direction overrides are escaped here.
pub(crate) fn json(value: &Value) {
    let text = value.to_string();
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            out.push_str(&format!("\\u{:04x}", c as u32));
        } else {
            out.push(c);
        }
    }
    line(&out);
}

fn steers(c: char) -> bool {
    let c1 = matches!(c, '\u{7f}'..='\u{9f}');
    // Marks, embeddings, overrides and isolates of direction, and what some terminals take for the end of a line.
    let direction =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c1 || direction
}

/// Paints text when the terminal wants colours.
pub(crate) fn paint(code: &str, text: &str) -> String {
    if colours() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

pub(crate) fn bold(text: &str) -> String {
    paint("1", text)
}
pub(crate) fn dim(text: &str) -> String {
    paint("2", text)
}
pub(crate) fn green(text: &str) -> String {
    paint("32", text)
}
pub(crate) fn red(text: &str) -> String {
    paint("1;31", text)
}

/// 12345678 as `12,345,678`.
pub(crate) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Columns aligned by the widest cell; the first row is the head.
pub(crate) fn table(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|c| rows.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max().unwrap_or(0))
        .collect();
    for (n, row) in rows.iter().enumerate() {
        let mut text = String::new();
        for (c, cell) in row.iter().enumerate() {
            let width = widths.get(c).copied().unwrap_or(0);
            text.push_str(cell);
            if c + 1 < row.len() {
                text.push_str(&" ".repeat(width.saturating_sub(cell.chars().count()) + 2));
            }
        }
        line(&if n == 0 { bold(&text) } else { text });
    }
}

#[cfg(test)]
mod tests {
    use super::{safe, thousands};

    #[test]
    fn nothing_steers_the_terminal() {
        let hostile = "a\u{1b}[2J\u{9b}1m\r\n\u{202e}\u{61c}\u{2028}\u{2029}\u{7f}\u{0}z";
        let shown = safe(hostile);
        assert!(shown.chars().all(|c| c.is_ascii_graphic()), "{shown:?}");
        assert!(shown.starts_with('a') && shown.ends_with('z'));
        assert_eq!(safe("caf\u{e9} \u{4f60}"), "caf\u{e9} \u{4f60}");
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
    }
}
