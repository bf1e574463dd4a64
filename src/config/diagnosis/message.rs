//! What a deserialiser says, in the words of a config: `what is wrong; allowed: ...`.

/// An error in the words of a config.
pub(super) fn rewrite(error: &str) -> String {
    if let Some((names, nearest)) = unknown_key(error) {
        return format!("is not a key here{}; allowed: {}", perhaps(nearest), names.join(", "));
    }
    if let Some(name) = missing_field(error) {
        return format!("lacks `{name}`; allowed: a table with a `{name}`");
    }
    if let Some(rest) = error.strip_prefix("unknown variant `") {
        let (found, expected) = rest.split_once('`').unwrap_or((rest, ""));
        let names = quoted(expected);
        let allowed: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
        return format!(
            "`{found}` is not known{}; allowed: {}",
            perhaps(nearest(found, &names)),
            allowed.join(", ")
        );
    }
    for prefix in ["invalid type: ", "invalid value: ", "invalid length "] {
        if let Some((found, expected)) =
            error.strip_prefix(prefix).and_then(|rest| rest.rsplit_once(", expected "))
        {
            return format!("is {}; allowed: {}", found_words(found), expected_words(expected));
        }
    }
    error.to_owned()
}

/// The key that is missing, where an error says that one is.
pub(super) fn missing_field(error: &str) -> Option<&str> {
    error.strip_prefix("missing field `")?.strip_suffix('`')
}

/// The keys there are and the one that was probably meant, where an error says that a key is not known.
pub(super) fn unknown_key(error: &str) -> Option<(Vec<&str>, Option<&str>)> {
    let (found, expected) = error.strip_prefix("unknown field `")?.split_once('`')?;
    let names = quoted(expected);
    let nearest = nearest(found, &names);
    Some((names, nearest))
}

/// Takes a path off the front of an error that a table says about what is in it: `endpoints[0].weight: ...`. It is
/// one where `is_there` says so.
pub(super) fn split_path(error: &str, is_there: impl Fn(&str) -> bool) -> (String, &str) {
    match error.split_once(": ") {
        Some((path, rest)) if !path.contains([' ', '`']) && is_there(path) => (path.to_owned(), rest),
        _ => (String::new(), error),
    }
}

fn perhaps(nearest: Option<&str>) -> String {
    nearest.map(|name| format!(", perhaps `{name}`")).unwrap_or_default()
}

/// The names between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn found_words(found: &str) -> String {
    match found {
        "map" => "a table".into(),
        "sequence" => "a list".into(),
        "null" => "nothing".into(),
        _ => match found.split_once(' ') {
            Some(("string", text)) => format!("the text {text}"),
            Some(("integer" | "floating", number)) => {
                format!("the number {}", number.trim_start_matches("point "))
            }
            Some(("boolean", value)) => value.to_owned(),
            _ => found.to_owned(),
        },
    }
}

fn expected_words(expected: &str) -> String {
    match expected {
        "a string" => "a text in quotes".into(),
        "a boolean" => "true or false".into(),
        "a sequence" => "a list".into(),
        "a map" => "a table".into(),
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more".into(),
        "f32" | "f64" => "a number".into(),
        _ if expected.starts_with("a nonzero") => "a whole number, 1 or more".into(),
        _ if expected.starts_with("struct ") => "a table".into(),
        _ => expected.to_owned(),
    }
}

/// The name that is so near to a text that it was probably meant.
pub(super) fn nearest<'n>(text: &str, names: &[&'n str]) -> Option<&'n str> {
    let near = names.iter().map(|name| (distance(text, name), *name)).min()?;
    (near.0 <= text.len().min(near.1.len()).div_ceil(3).min(3)).then_some(near.1)
}

/// How many characters have to be changed, put in or left out (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let best = (diagonal + usize::from(x != y)).min(left + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, best);
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_put_into_the_words_of_a_config() {
        for (error, message) in [
            (
                "unknown field `urll`, expected one of `url`, `endpoints`",
                "is not a key here, perhaps `url`; allowed: url, endpoints",
            ),
            (
                "unknown field `zzzz`, expected `url` or `endpoints`",
                "is not a key here; allowed: url, endpoints",
            ),
            ("missing field `name`", "lacks `name`; allowed: a table with a `name`"),
            (
                "unknown variant `fil`, expected `fill` or `override`",
                "`fil` is not known, perhaps `fill`; allowed: \"fill\", \"override\"",
            ),
            ("invalid type: integer `5`, expected a string", "is the number `5`; allowed: a text in quotes"),
            (
                "invalid type: string \"a, expected b\", expected u32",
                "is the text \"a, expected b\"; allowed: a whole number, 0 or more",
            ),
            (
                "invalid value: integer `0`, expected a nonzero u32",
                "is the number `0`; allowed: a whole number, 1 or more",
            ),
            ("invalid type: map, expected a sequence", "is a table; allowed: a list"),
            ("`x` is no good; allowed: y", "`x` is no good; allowed: y"),
        ] {
            assert_eq!(rewrite(error), message);
        }
    }

    #[test]
    fn distances_count_single_changes() {
        for (a, b, expected) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("url", "urll", 1),
            ("fast", "last", 1),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!((distance(a, b), distance(b, a)), (expected, expected), "{a} {b}");
        }
        assert_eq!(nearest("metods", &["host", "methods"]), Some("methods"));
        assert_eq!(nearest("x", &["host", "methods"]), None);
    }
}
