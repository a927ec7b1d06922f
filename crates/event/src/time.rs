//! Times as text: RFC 3339 in, thirty bytes of UTC with nine fraction digits out. No clock.

/// The stored form of a time: `2026-11-24T02:29:41.651655000Z`.
pub type Stamp = [u8; 30];

/// A moment: Unix seconds and nanoseconds within the second.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Moment {
    pub(crate) seconds: i64,
    pub(crate) nanos: u32,
}

const FIRST_SECOND: i64 = -62_167_219_200; // 0000-01-01
const LAST_SECOND: i64 = 253_402_300_799; // 9999-12-31T23:59:59

/// RFC 3339 UTC with nine fraction digits of nanoseconds since 1970.
pub fn stamp(ns: u64) -> Stamp {
    let seconds = i64::try_from(ns / 1_000_000_000).unwrap_or(0);
    let nanos = u32::try_from(ns % 1_000_000_000).unwrap_or(0);
    Moment { seconds, nanos }.stamp()
}

/// Nanoseconds since 1970 of a stored time; `None` for any other text, or a time before 1970 or after 2554.
pub fn nanoseconds(stamp: &str) -> Option<u64> {
    let moment = parse(stamp.as_bytes())?;
    let seconds = u64::try_from(moment.seconds).ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(u64::from(moment.nanos))
}

impl Moment {
    pub(crate) fn stamp(self) -> Stamp {
        let mut out = *b"0000-00-00T00:00:00.000000000Z";
        let days = self.seconds.div_euclid(86_400);
        let second = self.seconds.rem_euclid(86_400);
        let (year, month, day) = civil(days);
        put(&mut out, 0, 4, year);
        put(&mut out, 5, 2, month);
        put(&mut out, 8, 2, day);
        put(&mut out, 11, 2, second / 3600);
        put(&mut out, 14, 2, second / 60 % 60);
        put(&mut out, 17, 2, second % 60);
        put(&mut out, 20, 9, i64::from(self.nanos));
        out
    }

    pub(crate) fn of_nanos(ns: u64) -> Self {
        Self {
            seconds: i64::try_from(ns / 1_000_000_000).unwrap_or(0),
            nanos: u32::try_from(ns % 1_000_000_000).unwrap_or(0),
        }
    }
}

fn put(out: &mut Stamp, at: usize, width: usize, mut n: i64) {
    for slot in out.get_mut(at..at + width).unwrap_or_default().iter_mut().rev() {
        *slot = b'0' + u8::try_from(n % 10).unwrap_or(0);
        n /= 10;
    }
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar (the year begins in March here).
pub(crate) fn days(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + i64::from(month <= 2), month, of_year - (153 * shifted + 2) / 5 + 1)
}

pub(crate) fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

pub(crate) fn number(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0_i64, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
}

/// Strict RFC 3339: `T` between date and time, at most nine fraction digits, `Z` or an offset.
///
/// A leap second (23:59:60 UTC) becomes the last nanosecond of its minute.
pub(crate) fn parse(text: &[u8]) -> Option<Moment> {
    let field = |from: usize, to: usize| text.get(from..to).and_then(number);
    let is = |at: usize, set: &[u8]| text.get(at).is_some_and(|b| set.contains(b));
    let (year, month, day) = (field(0, 4)?, field(5, 7)?, field(8, 10)?);
    let (hour, minute, second) = (field(11, 13)?, field(14, 16)?, field(17, 19)?);
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt") && is(13, b":") && is(16, b":")) {
        return None;
    }
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut at = 19;
    let mut nanos = 0_u32;
    if is(at, b".") {
        let fraction = text.get(at + 1..)?;
        let count = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
        if !(1..=9).contains(&count) {
            return None;
        }
        let digits = fraction.get(..count).and_then(number)?;
        nanos = u32::try_from(digits).ok()? * 10_u32.pow(9 - u32::try_from(count).ok()?);
        at += 1 + count;
    }
    let offset = match text.get(at..)? {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 60 + minutes) * if *sign == b'-' { -60 } else { 60 }
        }
        _ => return None,
    };
    let mut seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second.min(59) - offset;
    if second == 60 {
        if seconds.rem_euclid(86_400) != 86_399 {
            return None;
        }
        nanos = 999_999_999;
    }
    if !(FIRST_SECOND..=LAST_SECOND).contains(&seconds) {
        seconds = i64::MIN;
    }
    (seconds != i64::MIN).then_some(Moment { seconds, nanos })
}
