use proptest::prelude::*;

use super::*;
use crate::cache::testing::request;

const LONG: &str = "Please write a short and friendly answer to a customer who asks why the parcel that was \
    promised for today has still not come and what we are going to do about it now";

fn prompt(body: &str) -> Option<Prompt> {
    prompt_of("application/json", body)
}

fn prompt_of(media: &str, body: &str) -> Option<Prompt> {
    let request = request("POST", &[("content-type", media)]);
    let base = PrimaryKey::from_text("https://a/ai".into());
    Prompt::new(&base, &request, body, &Similar::default())
}

fn asked(text: &str) -> Prompt {
    prompt(&serde_json::json!({"model": "m", "prompt": text}).to_string()).unwrap()
}

fn found(known: &Prompt, asked: &Prompt) -> Option<String> {
    let mut prompts = Prompts::default();
    let key = PrimaryKey::from_text("k".into());
    prompts.learn(known.clone(), &key, Timestamp::from_secs(10));
    let found = prompts.find(asked, &Similar::default(), Timestamp::from_secs(9));
    found.map(|(_, similarity)| shown(similarity))
}

#[test]
fn nearly_the_same_text_is_found_and_another_one_is_not() {
    let known = asked(LONG);
    for (text, similarity) in [
        (LONG.to_owned(), Some("1.00")),
        (LONG.to_uppercase().replace(' ', ",  "), Some("1.00")),
        (LONG.replace("friendly", "kind"), Some("0.88")),
        (LONG.replace("Please write", "Write"), Some("0.95")),
        (LONG.replace("friendly", "kind").replace("parcel", "letter"), None),
        (LONG.chars().take(60).collect(), None),
        (LONG.split(' ').rev().collect::<Vec<_>>().join(" "), None),
        (format!("{LONG} 7"), None),
    ] {
        assert_eq!(found(&known, &asked(&text)).as_deref(), similarity, "{text}");
    }
    assert_eq!(found(&asked("order 1234 is late"), &asked("order 1235 is late")), None);
    assert_eq!(found(&asked("What is the capital of France?"), &asked("what is the capital of spain")), None);
}

#[test]
fn everything_but_the_text_is_equal_to_the_letter() {
    let chat = |model: &str, role: &str, text: &str| {
        let messages = serde_json::json!([{"role": role, "content": text}, {"role": "user", "content": [{"type": "text", "text": "go on please"}]}]);
        prompt(&serde_json::json!({"model": model, "messages": messages, "temperature": 0.7}).to_string())
            .unwrap()
    };
    let known = chat("m", "user", LONG);
    assert_eq!(found(&known, &chat("m", "user", &LONG.replace("friendly", "kind"))).as_deref(), Some("0.88"));
    assert_eq!(found(&known, &chat("n", "user", LONG)), None);
    assert_eq!(found(&known, &chat("m", "system", LONG)), None);
    let plain = |media| prompt_of(media, LONG);
    assert_eq!(found(&plain("text/plain").unwrap(), &plain("text/plain").unwrap()).as_deref(), Some("1.00"));
    assert_eq!(found(&plain("text/plain").unwrap(), &plain("text/x").unwrap()), None);
}

#[test]
fn another_sign_is_another_question() {
    for (one, other) in [
        ("-5", "5"),
        ("<5", ">5"),
        ("!=5", "=5"),
        ("\u{20ac}5", "$5"),
        ("1/2", "1-2"),
        ("2^3", "2*3"),
        ("5%", "5"),
        ("5!", "5"),
        (".5", "5"),
        ("1,000", "1.000"),
        ("x > y", "x < y"),
        ("x - y", "x / y"),
        ("x-y", "x/y"),
        ("n+m", "n*m"),
        ("C++", "C#"),
        ("snake_case", "snake case"),
        ("-force", "force"),
    ] {
        for (one, other) in [(one, other), (other, one)] {
            let with = |sign: &str| asked(&format!("{LONG} {sign} and tell me why"));
            assert_eq!(found(&with(one), &with(other)), None, "{one} {other}");
            assert_eq!(found(&with(one), &with(one)).as_deref(), Some("1.00"), "{one}");
        }
    }
    for (one, other) in [
        ("5", "5."),
        ("(5)", "5"),
        ("well-known", "well known"),
        ("and/or", "and or"),
        ("that's it!", "that s it"),
        ("\u{201c}so\u{201d} \u{2014} he said:", "so he said"),
    ] {
        let with = |text: &str| asked(&format!("{LONG} {text} and tell me why"));
        assert_eq!(found(&with(one), &with(other)).as_deref(), Some("1.00"), "{one} {other}");
    }
}

#[test]
fn each_text_is_compared_with_the_one_in_its_place() {
    let other = LONG.split(' ').rev().collect::<Vec<_>>().join(" ");
    let chat = |one: &str, two: &str| {
        let messages =
            serde_json::json!([{"role": "system", "content": one}, {"role": "user", "content": two}]);
        prompt(&serde_json::json!({"messages": messages}).to_string()).unwrap()
    };
    let list = |one: &str, two: &str| prompt(&serde_json::json!({"input": [one, two]}).to_string()).unwrap();
    for ask in [&chat as &dyn Fn(&str, &str) -> Prompt, &list] {
        let known = ask(LONG, &other);
        assert_eq!(found(&known, &ask(LONG, &other)).as_deref(), Some("1.00"));
        assert_eq!(found(&known, &ask(&LONG.replace("friendly", "kind"), &other)).as_deref(), Some("0.88"));
        assert_eq!(found(&known, &ask(&other, LONG)), None, "swapped");
        assert_eq!(found(&ask(LONG, "yes"), &ask(LONG, "no")), None, "however short beside the other");
        assert_eq!(found(&ask(LONG, "?"), &ask(LONG, "no")), None);
        assert_eq!(found(&ask("page 5", "page x"), &ask("page x", "page 5")), None);
    }
}

#[test]
fn where_there_is_no_text_nothing_is_similar() {
    for body in [
        "{}",
        r#"{"prompt":""}"#,
        r#"{"prompt":"?!"}"#,
        r#"{"other":"a b c"}"#,
        r#"{"prompt":7}"#,
        "no json",
        "[\"prompt\"]",
    ] {
        assert_eq!(prompt(body), None, "{body}");
    }
    assert_eq!(prompt_of("application/octet-stream", LONG), None);
}

#[test]
fn what_a_store_holds_reads_back_and_nonsense_is_like_nothing() {
    let known = asked(LONG);
    assert!((known.similarity_to(&known.text()) - 1.0).abs() < 1e-9);
    for nonsense in ["", "!", "AAAA", "AAAAAAA"] {
        assert!(known.similarity_to(nonsense) < 0.1, "{nonsense}");
    }
}

#[test]
fn an_isolate_knows_only_so_many() {
    let mut prompts = Prompts::default();
    for nth in 0..KNOWN_MAX + 3 {
        let text = format!("one more prompt number {nth}");
        prompts.learn(asked(&text), &PrimaryKey::from_text(text), Timestamp::from_secs(9));
    }
    assert_eq!(prompts.known.len(), KNOWN_MAX);
    let find = |text: &str| prompts.find(&asked(text), &Similar::default(), Timestamp::default());
    assert!(find("one more prompt number 2").is_none() && find("one more prompt number 3").is_some());
}

proptest! {
    #[test]
    fn bands_find_what_is_similar(words in prop::collection::vec("[a-z]{3,9}", 40..80), at in 0_usize..40) {
        let mut other = words.clone();
        other[at] = "different".into();
        let (one, other) = (asked(&words.join(" ")), asked(&other.join(" ")));
        let similar = similarity(&one.shingles, &other.shingles);
        let shared = one.bands().zip(other.bands()).filter(|(one, other)| one == other).count();
        // 0.9 and more: missed by less than one in 2000.
        prop_assert!(similar < 0.9 || shared > 0);
    }

    #[test]
    fn no_body_makes_it_panic(body in "[\\[\\]{}\",:a1 \\\\]{0,20}|\\PC{0,30}") {
        let _ = (prompt(&body), prompt_of("text/plain", &body));
    }
}
