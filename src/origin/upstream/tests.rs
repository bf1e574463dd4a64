use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_789_000_000);
/// Of the lowest and of the highest of four tiers.
const LOWEST: Asker = Asker { key: 7, rank: 0, ranks: 4 };
const HIGHEST: Asker = Asker { key: 8, rank: 3, ranks: 4 };

fn head(status: u16, fields: &[(&str, &str)]) -> ResponseHead {
    ResponseHead { status, fields: Fields::from_pairs(fields.iter().copied()) }
}

fn secs(secs: u64) -> Span {
    Span::from_secs(secs)
}

/// That of a request that nothing else happened beside.
const ALONE: Turn = Turn { number: 0, beside: 0, generation: 0 };

/// What was heard of a quota of so many in a minute.
fn heard(remaining: u64, limit: u64) -> Upstream {
    let mut upstream = Upstream::default();
    let [left, most] = [remaining, limit].map(|number| number.to_string());
    let fields =
        [("x-ratelimit-remaining", &*left), ("x-ratelimit-limit", &most), ("x-ratelimit-reset", "60")];
    upstream.hear(LOWEST.key, ALONE, &head(200, &fields), NOW);
    upstream
}

#[test]
fn what_is_left_is_read_in_every_form_that_origins_write() {
    let minute = Some(secs(60));
    for (status, fields, expected) in [
        (200, vec![], None),
        (200, vec![("ratelimit", "\"a\";r=50;t=30")], Some((50, None, None, 30_000))),
        (200, vec![("ratelimit", "\"a\";r=50;t=30, \"day\";r=3;t=600")], Some((3, None, None, 600_000))),
        (
            200,
            vec![
                ("ratelimit", "\"a\";r=50;t=30, \"day\";r=70;t=600"),
                ("ratelimit-policy", "\"day\";q=9;w=86400, \"a\";q=1000;w=60"),
            ],
            Some((50, Some(1000), minute, 30_000)),
        ),
        (
            200,
            vec![("x-ratelimit-remaining", "2"), ("x-ratelimit-reset", "1789000020")],
            Some((2, None, None, 20_000)),
        ),
        (
            200,
            vec![("x-ratelimit-remaining", "2"), ("x-ratelimit-reset", "1789000020500")],
            Some((2, None, None, 20_500)),
        ),
        (
            200,
            vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "20"), ("x-ratelimit-limit", "9")],
            Some((0, Some(9), None, 20_000)),
        ),
        (
            200,
            vec![("ratelimit-remaining", "4"), ("ratelimit-reset", "7"), ("ratelimit-limit", "10, 10;w=60")],
            Some((4, Some(10), None, 7000)),
        ),
        (
            200,
            vec![
                ("x-ratelimit-remaining-requests", "59"),
                ("x-ratelimit-reset-requests", "6m0.5s"),
                ("x-ratelimit-limit-requests", "60"),
            ],
            Some((59, Some(60), None, 360_600)),
        ),
        (200, vec![("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", "20ms")], Some((1, None, None, 20))),
        (
            200,
            vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "9999999999")],
            Some((0, None, None, 86_400_000)),
        ),
        (200, vec![("x-ratelimit-remaining", "none"), ("x-ratelimit-reset", "9")], None),
        (200, vec![("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", "soon")], None),
        (200, vec![("x-ratelimit-remaining", "1")], None),
        (200, vec![("retry-after", "30")], None),
        (429, vec![("retry-after", "30")], Some((0, None, None, 30_000))),
        (429, vec![("ratelimit", "\"a\";r=5;t=12")], Some((0, None, None, 12_000))),
        (429, vec![], Some((0, None, None, 1000))),
    ] {
        let said = read(&head(status, &fields), NOW).map(|said| said.quota);
        let said = said
            .map(|quota| (quota.remaining, quota.limit, quota.window, quota.resets.since(NOW).as_millis()));
        assert_eq!(said, expected, "{fields:?}");
    }
}

#[test]
fn as_it_runs_out_the_lowest_tier_goes_without_first_and_the_highest_gets_the_last_one() {
    for (remaining, expected) in
        [(31, [true; 4]), (30, [false, true, true, true]), (20, [false, false, true, true])]
    {
        let may = [0, 1, 2, 3].map(|rank| heard(remaining, 300).take(Asker { rank, ..LOWEST }, NOW).is_ok());
        assert_eq!(may, expected, "{remaining}");
    }
    assert!(heard(1, 300).take(HIGHEST, NOW).is_ok());
    assert_eq!(heard(0, 300).take(HIGHEST, NOW), Err(secs(60)));
    let alone = Asker { key: 1, rank: 0, ranks: 1 };
    assert!(heard(1, 300).take(alone, NOW).is_ok(), "there is nobody to keep it for");
}

/// What an origin says that counts in windows of a minute.
fn said(left: u64) -> ResponseHead {
    head(
        200,
        &[
            ("x-ratelimit-remaining", &left.to_string()),
            ("x-ratelimit-reset", "60"),
            ("x-ratelimit-limit", "20"),
        ],
    )
}

#[test]
fn in_whatever_order_requests_are_counted_and_answered_no_more_are_sent_than_are_left() {
    let mut rng = fastrand::Rng::with_seed(3);
    for _ in 0..2000 {
        let mut upstream = Upstream::default();
        upstream.hear(1, ALONE, &said(20), NOW);
        let (mut left, mut under_way, mut counted, mut sent) = (20_u64, Vec::new(), Vec::new(), 0);
        for _ in 0..200 {
            match rng.u8(0..4) {
                0 | 1 => {
                    if let Ok(turn) = upstream.take(HIGHEST, NOW) {
                        under_way.push(turn);
                        sent += 1;
                    }
                }
                2 if !under_way.is_empty() => {
                    left = left.checked_sub(1).expect("the origin had to say no");
                    counted.push((under_way.swap_remove(rng.usize(0..under_way.len())), left));
                }
                3 if !counted.is_empty() => {
                    let (turn, left) = counted.swap_remove(rng.usize(0..counted.len()));
                    upstream.hear(1, turn, &said(left), NOW);
                    upstream.end(turn);
                }
                _ => {}
            }
        }
        assert!(sent >= 15, "and nearly all are: {sent}");
    }
}

#[test]
fn what_others_take_is_heard_and_what_is_given_back_too() {
    let mut upstream = heard(20, 20);
    for (said_left, left) in [(10, 10), (3, 3), (15, 15)] {
        let turn = upstream.take(HIGHEST, NOW).unwrap();
        upstream.hear(1, turn, &said(said_left), NOW);
        upstream.end(turn);
        assert_eq!(upstream.quotas[0].1.remaining, left);
    }
}

#[test]
fn what_never_comes_to_anything_is_forgotten() {
    let mut upstream = heard(20, 20);
    for nth in 0..5 {
        upstream.take(HIGHEST, NOW + secs(nth)).unwrap();
    }
    for minutes in 2..8 {
        let at = NOW + secs(60 * minutes);
        let turn = upstream.take(HIGHEST, at).unwrap();
        upstream.hear(1, turn, &said(19), at);
        upstream.end(turn);
    }
    assert_eq!(upstream.quotas[0].1.remaining, 19);
}

#[test]
fn a_window_that_begins_unheard_has_what_its_origin_allows_and_no_more() {
    let mut upstream = heard(0, 5);
    let later = NOW + secs(60);
    assert!(upstream.take(HIGHEST, NOW + Span::from_millis(59_999)).is_err());
    let taken = (0..20).filter(|_| upstream.take(HIGHEST, later).is_ok()).count();
    assert_eq!(taken, 5);
    let mut busy = heard(1, 5);
    busy.take(HIGHEST, NOW).unwrap();
    let taken = (0..20).filter(|_| busy.take(HIGHEST, later).is_ok()).count();
    assert_eq!(taken, 4, "one is under way");
    let mut unknown = Upstream::default();
    unknown.hear(1, ALONE, &head(429, &[("retry-after", "3")]), NOW);
    assert!(unknown.take(HIGHEST, NOW).is_err());
    assert!((0..20).all(|_| unknown.take(HIGHEST, NOW + secs(3)).is_ok()), "nothing is known of a limit");
}

#[test]
fn a_quota_of_one_client_is_no_other_ones() {
    let mut upstream = Upstream::default();
    upstream.hear(1, ALONE, &head(200, &[("ratelimit", "\"a\";r=0;t=30;pk=:YQ==:")]), NOW);
    assert!(upstream.take(Asker { key: 1, ..HIGHEST }, NOW).is_err());
    assert!(upstream.take(Asker { key: 2, ..LOWEST }, NOW).is_ok());
    for key in 10..2000 {
        upstream.hear(key, ALONE, &head(200, &[("ratelimit", "\"a\";r=0;t=60;pk=:YQ==:")]), NOW);
    }
    assert_eq!(upstream.quotas.len(), KEYS_MAX);
    assert!(upstream.take(Asker { key: 1999, ..HIGHEST }, NOW).is_err());
    assert!(upstream.is_low(1999, NOW) && !upstream.is_low(3, NOW));
    assert_eq!((upstream.wait(1999, NOW), upstream.wait(3, NOW)), (secs(60), Span::ZERO));
}

#[test]
fn budgets_are_read_as_people_write_them() {
    for (text, requests, window_secs, back) in [
        ("1000/1d", 1000, 86_400, "1000/1d"),
        ("5/h", 5, 3600, "5/1h"),
        ("9/day", 9, 86_400, "9/1d"),
        (" 7 / 90s ", 7, 90, "7/90s"),
    ] {
        let budget: Budget = text.parse().unwrap();
        assert_eq!(budget, Budget { requests, window_secs }, "{text}");
        assert_eq!(budget.to_string().parse(), Ok(budget), "{back}");
    }
    for text in ["", "1000", "0/1d", "1/0s", "1/500ms", "1/367d", "-1/d", "1/fortnight"] {
        assert!(text.parse::<Budget>().unwrap_err().contains("; allowed: "), "{text}");
    }
}
