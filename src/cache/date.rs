//! HTTP dates as a cache reads them, and the ages that follow from them.

use crate::head::Fields;
use crate::time::{DeltaSeconds, Timestamp};

/// The names of days in the forms of a date.
const DAYS: [[&str; 7]; 2] = [
    ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
];

/// Reads one of the three forms; the names of days, months and the zone in any case (RFC 9111, section 4.2). That the day
/// of the week is another one than the date's changes nothing of the date.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    if let Some(moment) = Timestamp::from_http_date(text) {
        return Some(moment);
    }
    let mut canonical = String::with_capacity(text.len());
    let mut in_word = false;
    for c in text.chars() {
        canonical.push(if in_word { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() });
        in_word = c.is_ascii_alphabetic();
    }
    if let Some(start) = canonical.strip_suffix(" Gmt") {
        canonical = format!("{start} GMT");
    }
    let (day, rest) = canonical.split_at(canonical.find([',', ' '])?);
    let names = DAYS.iter().find(|names| names.contains(&day))?;
    names.iter().find_map(|name| Timestamp::from_http_date(&[name, rest].concat()))
}

/// The date in the first line of this name.
pub(super) fn field(fields: &Fields, name: &str) -> Option<Timestamp> {
    parse(fields.get(name)?)
}

/// A response's corrected initial age in seconds (RFC 9111, section 4.2.3). A Date that is missing or wrong counts as
/// the time of arrival (RFC 9110, section 6.6.1), an Age that is not a number as none (RFC 9111, section 5.1).
pub(super) fn initial_age(fields: &Fields, request_time: Timestamp, response_time: Timestamp) -> u32 {
    let date = field(fields, "date").unwrap_or(response_time);
    let apparent = response_time.as_secs().saturating_sub(date.as_secs());
    let age = fields.list("age").next().and_then(DeltaSeconds::parse).unwrap_or_default();
    let corrected = u64::from(age.get()).saturating_add(response_time.since(request_time).as_secs());
    DeltaSeconds::new(apparent.max(corrected)).get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_three_forms_are_dates_rfc9110_5_6_7() {
        let moment = Some(Timestamp::from_secs(784_111_777));
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "sUN, 06 nOV 1994 08:49:37 gmt",
            "SUNDAY, 06-NOV-94 08:49:37 GMT",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Saturday, 06-Nov-94 08:49:37 GMT",
            "Fri Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(text), moment, "{text}");
        }
        for text in [
            "0",
            "-1",
            "",
            "Sun 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 8:49:37 GMT",
            "Sun, 06  Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1994 08:49:60 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06-Nov-1994 08:49:37 GMT",
            "1994-11-06T08:49:37Z",
            "Sün, 06 Nov 1994 08:49:37 GMT",
            "Son, 06 Nov 1994 08:49:37 GMT",
            "06 Nov 1994 08:49:37 GMT",
            "Sunday, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_initial_age_is_the_larger_of_two_estimates_rfc9111_4_2_3() {
        let (asked, came) = (Timestamp::from_secs(1_000_000_000), Timestamp::from_millis(1_000_000_003_900));
        let date = |ago: u64| Timestamp::from_secs(1_000_000_003 - ago).to_http_date();
        for (pairs, age) in [
            (vec![("date", date(10))], 10),
            (vec![("date", date(0))], 3),
            (vec![("date", Timestamp::from_secs(1_000_009_000).to_http_date())], 3),
            (vec![], 3),
            (vec![("date", "nonsense".into())], 3),
            (vec![("date", date(10)), ("age", "20".into())], 23),
            (vec![("age", "7200, 0".into())], 7203),
            (vec![("age", "0".into()), ("age", "7200".into())], 3),
            (vec![("age", "-5".into())], 3),
            (vec![("age", "1.5".into())], 3),
            (vec![("age", "abc".into())], 3),
            (vec![("age", "7200;foo=bar".into())], 3),
            (vec![("age", "99999999999999999999".into())], 2_147_483_648),
        ] {
            let fields = Fields::from_pairs(pairs.iter().map(|(name, value)| (*name, value.as_str())));
            assert_eq!(initial_age(&fields, asked, came), age, "{pairs:?}");
        }
    }
}
