//! The canonical form of JSON against an ECMAScript engine: the expected column was printed by `JSON.stringify`.

use event::canonical;
use proptest::prelude::*;

#[rustfmt::skip]
const NUMBERS: [(&str, &str); 35] = [
    ("0", "0"), ("-0", "0"), ("1", "1"), ("-1", "-1"), ("1.0", "1"), ("100", "100"), ("1e2", "100"), ("1e21", "1e+21"),
    ("1e20", "100000000000000000000"), ("123456789012345678901", "123456789012345680000"),
    ("1234567890123456789012", "1.2345678901234568e+21"), ("0.1", "0.1"), ("0.000001", "0.000001"),
    ("-0.0000033333333333333333", "-0.0000033333333333333333"), ("5e-324", "5e-324"), ("-5e-324", "-5e-324"),
    ("1.7976931348623157e308", "1.7976931348623157e+308"), ("9007199254740993", "9007199254740992"),
    ("18446744073709551615", "18446744073709552000"), ("333333333.33333329", "333333333.3333333"), ("4.50", "4.5"),
    ("2e-3", "0.002"), ("1e-27", "1e-27"), ("1e23", "1e+23"), ("9.999999999999997e22", "9.999999999999997e+22"),
    ("0.30000000000000004", "0.30000000000000004"), ("123.456e-9", "1.23456e-7"), ("1e-7", "1e-7"),
    ("999999999999999900000", "999999999999999900000"), ("295147905179352825856", "295147905179352830000"),
    ("1424953923781206.25", "1424953923781206.2"), ("1000000000000000", "1000000000000000"),
    ("999999999999999", "999999999999999"), ("0.1e-5", "0.000001"), ("12345678901234567", "12345678901234568"),
];

#[test]
fn numbers_are_those_of_ecmascript() {
    for (written, expected) in NUMBERS {
        let shown = String::from_utf8(canonical(written.as_bytes()).unwrap()).unwrap();
        assert_eq!(shown, expected, "{written}");
    }
}

#[test]
fn names_sort_by_utf16_and_strings_have_one_spelling() {
    let written = r#" {"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew","1":"One",
        "\ud83d\ude00":"Emoji","\u0080":"Control","\u00f6":"o", "s":"\u0000\u0008\u000c\u001f\u007f\/\"\\"} "#;
    // The emoji sorts before U+FB33: its first UTF-16 unit is D83D.
    let expected = "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"s\":\"\\u0000\\b\\f\\u001f\u{7f}/\\\"\\\\\",\
        \"\u{80}\":\"Control\",\"\u{f6}\":\"o\",\
        \"\u{20ac}\":\"Euro Sign\",\"\u{1f600}\":\"Emoji\",\"\u{fb33}\":\"Hebrew\"}";
    assert_eq!(String::from_utf8(canonical(written.as_bytes()).unwrap()).unwrap(), expected);
}

#[test]
fn what_is_no_strict_json_has_no_canonical_form() {
    for bad in ["", "{", r#"{"a":1,"\u0061":2}"#, r#""\ud800""#, "1e400", "NaN", "[1] 2"] {
        assert!(canonical(bad.as_bytes()).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn any_double_reads_back_and_is_stable(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        let once = canonical(format!("{value:e}").as_bytes()).unwrap();
        let read: f64 = std::str::from_utf8(&once).unwrap().parse().unwrap();
        prop_assert_eq!(read, value);
        prop_assert_eq!(canonical(&once).unwrap(), once);
    }
}
