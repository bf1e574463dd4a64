use super::*;

#[test]
fn an_index_is_its_place_in_the_list() {
    for (at, incident) in Incident::ALL.into_iter().enumerate() {
        assert_eq!(incident as usize, at, "{}", incident.as_str());
    }
    for (at, event) in LimiterEvent::ALL.into_iter().enumerate() {
        assert_eq!(event as usize, at, "{}", event.as_str());
    }
    for (at, refusal) in Refusal::ALL.into_iter().enumerate() {
        assert_eq!(refusal as usize, at, "{}", refusal.as_str());
    }
    for (at, class) in MethodClass::ALL.into_iter().enumerate() {
        assert_eq!(class as usize, at, "{}", class.as_str());
    }
    assert_eq!(Verdict::LABELS[Verdict::Degraded.index()], "degraded");
}

#[test]
fn a_set_of_incidents_holds_what_was_put_in() {
    let set: Incidents = [Incident::Trap, Incident::KvSlow, Incident::Trap].into_iter().collect();
    assert_eq!(set.iter().collect::<Vec<_>>(), [Incident::KvSlow, Incident::Trap]);
    assert!(!set.contains(Incident::KvError) && Incidents::new().is_empty());
}

#[test]
fn methods_fall_into_classes() {
    for (name, class) in [
        ("GET", MethodClass::Read),
        ("QUERY", MethodClass::Read),
        ("DELETE", MethodClass::Write),
        ("PURGE", MethodClass::Other),
    ] {
        assert_eq!(MethodClass::of(&name.into()), class, "{name}");
    }
}
