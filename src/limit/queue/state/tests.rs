use proptest::prelude::*;

use super::*;

const START: Timestamp = Timestamp::from_secs(1_789_000_000);

fn terms(concurrent: u32, quota: &str, length: u32) -> Terms {
    Terms { concurrent, quota: quota.parse().ok(), length }
}

fn enter(ticket: u128, rank: u32, terms: Terms) -> Call {
    Call::Enter { ticket: Ticket(ticket), rank, terms }
}

fn admitted(answer: Option<Answer>) -> bool {
    matches!(answer, Some(Answer::Admitted { .. }))
}

#[test]
fn the_next_by_priority_and_then_by_coming_gets_the_free_place() {
    let (mut queue, terms) = (Queue::default(), terms(1, "", 10));
    assert!(admitted(queue.turn(&enter(1, 2, terms), START).answer));
    for (ticket, rank, before) in [(2, 2, 0), (3, 1, 0), (4, 0, 0), (5, 1, 2)] {
        match queue.turn(&enter(ticket, rank, terms), START).answer {
            Some(Answer::Waiting { position, .. }) => assert_eq!(position, before, "{ticket}"),
            other => panic!("{ticket}: {other:?}"),
        }
    }
    let mut order = Vec::new();
    let mut leaves = 1;
    for _ in 0..4 {
        let told = queue.turn(&Call::Leave(Ticket(leaves)), START).told;
        let [(Ticket(next), Answer::Admitted { .. })] = told[..] else { panic!("{told:?}") };
        order.push(next);
        leaves = next;
    }
    assert_eq!(order, [4, 3, 5, 2]);
}

#[test]
fn a_full_queue_turns_away_the_last_of_the_least_priority() {
    let (mut queue, terms) = (Queue::default(), terms(1, "", 2));
    for ticket in 1..=3 {
        queue.turn(&enter(ticket, 1, terms), START);
    }
    assert!(matches!(queue.turn(&enter(4, 1, terms), START).answer, Some(Answer::Full { position: 2, .. })));
    let turn = queue.turn(&enter(5, 0, terms), START);
    assert!(matches!(turn.answer, Some(Answer::Waiting { position: 0, .. })), "{turn:?}");
    assert!(matches!(turn.told[..], [(Ticket(3), Answer::Full { .. })]), "{turn:?}");
}

#[test]
fn what_starts_in_a_window_stays_under_the_quota_and_the_wait_is_told() {
    let (mut queue, terms) = (Queue::default(), terms(10, "2/1m", 10));
    for ticket in 1..=2 {
        assert!(admitted(queue.turn(&enter(ticket, 0, terms), START).answer));
        queue.turn(&Call::Leave(Ticket(ticket)), START);
    }
    let turn = queue.turn(&enter(3, 0, terms), START + Span::from_secs(10));
    assert_eq!(turn.answer, Some(Answer::Waiting { position: 0, wait: Span::from_secs(50) }));
    assert_eq!(turn.wakes_at, Some(START + Span::from_secs(60)));
    let again = |queue: &mut Queue, secs| queue.turn(&enter(3, 0, terms), START + Span::from_secs(secs));
    for secs in [20, 30, 40, 50, 59] {
        assert!(!admitted(again(&mut queue, secs).answer), "{secs}");
    }
    assert!(admitted(again(&mut queue, 60).answer));
}

#[test]
fn the_wait_is_told_by_how_long_places_were_held() {
    let (mut queue, terms) = (Queue::default(), terms(2, "", 10));
    for ticket in 1..=4 {
        queue.turn(&enter(ticket, 0, terms), START);
    }
    let later = START + Span::from_secs(8);
    queue.turn(&Call::Leave(Ticket(1)), later);
    let turn = queue.turn(&enter(9, 0, terms), later);
    assert_eq!(turn.answer, Some(Answer::Waiting { position: 1, wait: Span::from_secs(8) }));
}

#[test]
fn a_place_of_which_nothing_more_is_heard_is_free_after_its_lease() {
    let (mut queue, terms) = (Queue::default(), terms(1, "", 10));
    queue.turn(&enter(1, 0, terms), START);
    queue.turn(&Call::Stay(Ticket(1)), START + Span::from_secs(10));
    let turn = queue.turn(&enter(2, 0, terms), START + Span::from_secs(12));
    assert_eq!(turn.wakes_at, Some(START + Span::from_secs(10) + LEASE));
    let turn = queue.turn(&Call::Look, START + Span::from_secs(25));
    assert!(matches!(turn.told[..], [(Ticket(2), Answer::Admitted { .. })]), "{turn:?}");
}

#[test]
fn a_request_that_stops_asking_loses_its_wait_and_one_that_asks_again_keeps_it() {
    let (mut queue, terms) = (Queue::default(), terms(1, "", 10));
    queue.turn(&enter(1, 0, terms), START);
    queue.turn(&enter(2, 0, terms), START);
    queue.turn(&enter(3, 0, terms), START);
    let later = START + Span::from_secs(10);
    queue.turn(&enter(3, 0, terms), later);
    queue.turn(&Call::Stay(Ticket(1)), later);
    let turn = queue.turn(&Call::Leave(Ticket(1)), START + LEASE);
    assert!(matches!(turn.told[..], [(Ticket(3), Answer::Admitted { .. })]), "{turn:?}");
}

proptest! {
    /// Whatever comes: never more at once or in a window than the terms allow, everybody is told once, the stored form
    /// reads back, and nobody waits while there is a place.
    #[test]
    fn the_terms_hold(
        calls in prop::collection::vec((0_u8..8, 1_u128..12, 0_u32..3, 0_u64..9000), 1..80),
        concurrent in 1_u32..4,
        amount in 1_u32..6,
        length in 0_u32..5,
    ) {
        let terms = Terms { concurrent, quota: Quota::new(amount, 10), length };
        let mut queue = Queue::default();
        let mut now = START;
        let mut starts: Vec<Timestamp> = Vec::new();
        for (what, ticket, rank, millis) in calls {
            now = now + Span::from_millis(millis);
            let call = match what {
                0..=4 => enter(ticket, rank, terms),
                5 => Call::Stay(Ticket(ticket)),
                6 => Call::Leave(Ticket(ticket)),
                _ => Call::Look,
            };
            let before: Vec<Ticket> = queue.running.iter().filter(|one| one.until > now).map(|one| one.ticket).collect();
            let turn = queue.turn(&call, now);
            let stored = queue.encode();
            prop_assert_eq!(Queue::decode(&stored), Some(queue.clone()));
            let started = queue.running.iter().filter(|one| !before.contains(&one.ticket)).count();
            starts.extend(std::iter::repeat_n(now, started));
            let in_window = starts.iter().filter(|at| **at + Span::from_secs(10) > now).count();
            prop_assert!(in_window as u32 <= amount, "{} started", in_window);
            prop_assert!(queue.running.len() as u32 <= concurrent);
            prop_assert!(queue.waiting.len() as u32 <= length);
            let has_place = (queue.running.len() as u32) < concurrent && (in_window as u32) < amount;
            prop_assert!(!has_place || queue.waiting.is_empty());
            prop_assert!(queue.waiting.is_empty() == turn.wakes_at.is_none());
            let kept_waiting = turn.told.iter().any(|(_, answer)| matches!(answer, Answer::Waiting { .. }));
            prop_assert!(!kept_waiting);
        }
    }
}
