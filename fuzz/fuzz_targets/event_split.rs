//! A body cut into messages: parts of it, in order, apart from each other, each with its line.
#![cfg_attr(fuzzing, no_main)]

use event::{Format, Framing};
use proofbook_fuzz::fuzz_target;

const FORMATS: [Format; 5] = [Format::Native, Format::CloudTrail, Format::OpenBao, Format::Syslog, Format::Text];
const FRAMINGS: [Framing; 5] = [Framing::Auto, Framing::Ndjson, Framing::Array, Framing::Object, Framing::Lines];

fuzz_target!(|data: &[u8]| {
    let Some((choice, body)) = data.split_first() else { return };
    let (format, framing) = (FORMATS[usize::from(choice % 5)], FRAMINGS[usize::from(choice / 5 % 5)]);
    let Ok(parts) = event::split(format, framing, body) else { return };
    assert!(parts.len() <= event::limits::EVENTS_PER_REQUEST_MAX);
    let mut reached = 0;
    for (at, part) in parts.iter().enumerate() {
        let offset = event::offset_of(body, part);
        assert_eq!(body.get(offset..offset + part.len()), Some(*part));
        assert!(offset >= reached, "parts overlap");
        reached = offset + part.len();
        assert_eq!(event::line_of(body, part), 1 + body[..offset].iter().filter(|b| **b == b'\n').count() as u64);
        if at < 4 {
            proofbook_fuzz::event_lives(format, part);
        }
    }
});
