//! Query parameters, read strictly: an unknown or repeated one is refused by name.

use crate::problem::Problem;

/// Known parameters with their values.
#[derive(Debug)]
pub(crate) struct Query(Vec<(String, String)>);

fn refused(name: &str, expected: &str) -> Problem {
    Problem::new("request-malformed", "a query parameter cannot be read").field(&format!("?{name}"), expected)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

/// Decodes once; a broken escape or foreign bytes are `None`.
fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        out.push(match b {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

impl Query {
    pub(crate) fn parse(raw: &str, known: &[&str]) -> Result<Query, Problem> {
        let mut all: Vec<(String, String)> = Vec::new();
        for part in raw.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let name = decode(name).unwrap_or_default();
            if !known.contains(&name.as_str()) {
                return Err(refused("", &format!("only these: {}", known.join(", "))));
            }
            let value = decode(value).ok_or_else(|| refused(&name, "UTF-8 with whole percent escapes"))?;
            if all.iter().any(|(n, _)| *n == name) {
                return Err(refused(&name, "given once"));
            }
            all.push((name, value));
        }
        Ok(Query(all))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = digits.then(|| text.parse().ok()).flatten();
        number.map(Some).ok_or_else(|| refused(name, "a number from 0 to 2^64-1"))
    }

    /// One of a few names.
    pub(crate) fn choice<T: Copy>(&self, name: &str, default: T, choices: &[(&str, T)]) -> Result<T, Problem> {
        let Some(text) = self.get(name) else { return Ok(default) };
        choices.iter().find(|(n, _)| *n == text).map(|(_, v)| *v).ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(n, _)| *n).collect();
            refused(name, &names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_queries_are_refused_by_name() {
        for (raw, field) in [
            ("from=5", None),
            ("from=%35", None),
            ("", None),
            ("from=x", Some("?from")),
            ("from=", Some("?from")),
            ("from=-1", Some("?from")),
            ("from=1&from=2", Some("?from")),
            ("form=1", Some("?")),
            ("from=%3", Some("?from")),
            ("from=%ff", Some("?from")),
            ("from=18446744073709551616", Some("?from")),
        ] {
            let got = Query::parse(raw, &["from"]).and_then(|q| q.number("from"));
            assert_eq!(got.err().map(|p| p.field).as_deref(), field, "{raw}");
        }
    }
}
