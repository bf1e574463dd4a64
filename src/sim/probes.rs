//! The object that probes endpoints, on the virtual clock.

use std::rc::Rc;

use crate::flow;
use crate::ports::Ports;

use super::clock::Signal;
use super::edge::{Edge, HANGS_FOR};

/// Where it runs: an isolate that no request meets.
const PLACE: (usize, usize) = (0, usize::MAX);

impl Edge {
    /// What an isolate has seen comes in, what is known goes out.
    pub fn hear(&self, seen: &str) -> String {
        let (gate, state) = (self.shared.isolate(PLACE).1, self.shared.health.borrow().clone());
        let (state, known, _) = flow::health::hear(&gate, &state, seen, self.now());
        self.shared.health.replace(state);
        self.watch();
        known
    }

    /// The alarm of the object that probes endpoints is set anew.
    fn watch(&self) {
        if let Some(alarm) = &*self.shared.alarm.borrow() {
            return alarm.raise();
        }
        self.shared.alarm.replace(Some(Rc::default()));
        let shared = self.shared.clone();
        let (isolate, gate) = shared.isolate(PLACE);
        let edge = Self::new(shared.clone(), 0, isolate);
        self.shared.tasks.spawn(isolate, async move {
            let state = || shared.health.borrow().clone();
            loop {
                let alarm = Rc::new(Signal::default());
                shared.alarm.replace(Some(alarm.clone()));
                let (_, next) = flow::health::note(&gate, &state(), "", edge.now());
                let wait = next.map_or(HANGS_FOR, |next| next.since(edge.now()));
                if alarm.raised(shared.clock.sleep(wait)).await {
                    continue;
                }
                let probed = flow::health::probe(&gate, &edge, &state()).await;
                let (known, _) = flow::health::note(&gate, &state(), &probed, edge.now());
                shared.health.replace(known);
            }
        });
    }
}
