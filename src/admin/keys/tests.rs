use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_789_000_000);
const SECRET: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn made(wanted: &str) -> Result<Record, String> {
    Record::create(wanted, &Minted::new(SECRET), &IdentityConfig::default(), NOW)
}

fn asked(method: &str, rest: &str) -> String {
    let request = RequestHead::new(Method::from(method), "https://a/").unwrap();
    match act(&request, rest) {
        Ok(act) => format!("{act:?}"),
        Err(allow) => format!("allowed: {allow}"),
    }
}

#[test]
fn a_path_and_a_method_say_what_is_done_with_which_key() {
    let id = "0123456789abcdef";
    for (method, rest, expected) in [
        ("GET", "", "List".to_owned()),
        ("GET", "/", "List".to_owned()),
        ("POST", "", "Create".to_owned()),
        ("DELETE", "", "allowed: GET, HEAD, POST".to_owned()),
        ("GET", &format!("/{id}"), format!("Show({id:?})")),
        ("PATCH", &format!("/{id}"), format!("Change({id:?})")),
        ("DELETE", &format!("/{id}"), format!("Delete({id:?})")),
        ("PUT", &format!("/{id}"), "allowed: GET, HEAD, PATCH, DELETE".to_owned()),
        ("POST", &format!("/{id}/revoke"), format!("Revoke({id:?})")),
        ("POST", &format!("/{id}/rotate"), format!("Rotate({id:?})")),
        ("GET", &format!("/{id}/rotate"), "allowed: POST".to_owned()),
        ("POST", &format!("/{id}/other"), "allowed: ".to_owned()),
        ("POST", &format!("/{id}/rotate/x"), "allowed: ".to_owned()),
        ("GET", "/0123", "Unnamed".to_owned()),
        ("GET", "/0123456789ABCDEF", "Unnamed".to_owned()),
        ("GET", &format!("/{}", "0".repeat(65)), "Unnamed".to_owned()),
    ] {
        assert_eq!(asked(method, rest), expected, "{method} {rest}");
    }
}

#[test]
fn a_key_is_its_secret_and_its_id_is_the_hash_of_both_together() {
    let minted = Minted::new(SECRET);
    assert_eq!(minted.key, ["tg_", SECRET].concat());
    assert_eq!(minted.id, hex(&Sha256::digest(&minted.key)));
    assert!(is_whole(&minted.id) && !made("").unwrap().text().contains(SECRET));
}

#[test]
fn a_record_says_what_was_asked_for_and_the_limiter_believes_it() {
    use crate::identity::api_key::check;

    let record = made(r#"{"tier":"pro","until":"14d","then":"free","subject":"acme","note":"ci"}"#).unwrap();
    let text = record.text();
    let expected = r#"{"tier":"pro","until":1790209600,"then":"free","subject":"acme","note":"ci","created":1789000000}"#;
    assert_eq!(text, expected);
    let identity = check(Some(&text), "ab", &IdentityConfig::default(), NOW).unwrap();
    assert_eq!((&*identity.tier, identity.subject.as_deref()), ("pro", Some("acme")));

    let anybody = made("").unwrap().text();
    let owner = ["key-", Minted::new(SECRET).id.get(..12).unwrap()].concat();
    let identity = check(Some(&anybody), "ab", &IdentityConfig::default(), NOW).unwrap();
    assert_eq!((&*identity.tier, identity.subject.as_deref()), ("free", Some(&*owner)));
}

#[test]
fn a_wrong_record_is_refused_with_what_is_allowed() {
    let long = format!("{{\"subject\":{:?}}}", "x".repeat(257));
    for (wanted, said) in [
        ("[]", "no JSON object"),
        (r#"{"tier":"gold"}"#, "`tier` is not a tier; allowed: anonymous, free, pro, enterprise"),
        (r#"{"tier":1}"#, "`tier` is not a tier"),
        (r#"{"then":"gold"}"#, "`then` is not a tier"),
        (r#"{"subject":""}"#, "`subject` does not fit"),
        (r#"{"subject":null}"#, "`subject` null is no owner"),
        (&*long, "`subject` does not fit"),
        (r#"{"until":"soon"}"#, "`until` is no moment"),
        (r#"{"not_after":-1}"#, "`not_after` is no moment"),
        (r#"{"disabled":"no"}"#, "`disabled` is neither"),
        (r#"{"admin":true}"#, "`admin` is not a key here"),
    ] {
        let wrong = made(wanted).unwrap_err();
        assert!(wrong.contains(said) && wrong.contains("; allowed: "), "{wanted}: {wrong}");
    }
}

#[test]
fn a_change_touches_what_it_names_and_nothing_where_it_is_wrong() {
    let config = IdentityConfig::default();
    let mut record = Record::read(r#"{"tier":"free","until":5,"subject":"acme","theirs":[1]}"#).unwrap();
    record.change(r#"{"tier":"enterprise","until":null}"#, &config, NOW).unwrap();
    let expected = r#"{"tier":"enterprise","subject":"acme","theirs":[1]}"#;
    assert_eq!(record.text(), expected);
    record.change(r#"{"note":"x","tier":"gold"}"#, &config, NOW).unwrap_err();
    assert_eq!(record.text(), expected);
}

#[test]
fn the_key_that_is_replaced_ends_now_or_after_its_grace() {
    let old = Record::read(r#"{"tier":"pro","subject":"acme","not_after":1789000050}"#).unwrap();
    for (content, ends) in [
        ("", r#""not_after":1789000050,"replaced_by":"cd34","disabled":true,"revoked":1789000000}"#),
        (r#"{"grace":"30s"}"#, r#""not_after":1789000030,"replaced_by":"cd34"}"#),
        (r#"{"grace":"1d"}"#, r#""not_after":1789000050,"replaced_by":"cd34"}"#),
    ] {
        let mut old = old.clone();
        let next = old.rotate("ab12", "cd34", grace(content).unwrap(), NOW).text();
        assert!(old.text().ends_with(ends), "{content}: {}", old.text());
        assert_eq!(
            next,
            r#"{"tier":"pro","subject":"acme","not_after":1789000050,"created":1789000000,"replaces":"ab12"}"#
        );
    }
    for wrong in ["[]", r#"{"grace":"x"}"#, r#"{"grace":1}"#, r#"{"grase":"1d"}"#] {
        assert!(grace(wrong).unwrap_err().contains("; allowed: "), "{wrong}");
    }
}

#[test]
fn a_page_shows_every_key_and_where_the_next_one_begins() {
    let text = "later\nab12 {\"tier\":\"pro\",\"id\":\"x\"}\ncd34 broken";
    let expected =
        r#"{"keys":[{"id":"ab12","tier":"pro"},{"id":"cd34","unreadable":true}],"cursor":"later"}"#;
    assert_eq!(page(text), expected);
    assert_eq!(page(""), r#"{"keys":[]}"#);
    assert_eq!(only("\nab12 {}"), Some("ab12"));
    assert_eq!((only(text), only("later\n")), (None, None));
}
