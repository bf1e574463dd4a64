//! What a purge makes of what the layers hold, judged when it is looked up.

use crate::cache::purge::Marks;
use crate::cache::{Fate, PrimaryKey, StoredHead};
use crate::ports::Ports;
use crate::time::Timestamp;

use super::visit::Visit;

impl<P: Ports> Visit<P> {
    /// What becomes of a stored response to requests with this key.
    pub fn fate(&self, key: &PrimaryKey, head: &StoredHead) -> Fate {
        if self.gate.fleet.newest() <= head.generation {
            return Fate::Stays;
        }
        let route = (&*self.route.name, &self.route.cache.key);
        let marks = Marks::new(&self.request, key, route, &head.fields);
        self.gate.fleet.document().purges.fate(head.generation, &marks)
    }

    /// The head as a purge leaves it; `None` where it is gone.
    pub fn spared(&self, key: &PrimaryKey, mut head: StoredHead) -> Option<StoredHead> {
        match self.fate(key, &head) {
            Fate::Gone => return None,
            Fate::Stale(since) => head.end_at(since, self.ports.now()),
            Fate::Stays => {}
        }
        Some(head)
    }

    /// Whether a response that was asked for at this moment has been invalidated or purged since: it is not to be stored.
    pub fn is_gone(&self, key: &PrimaryKey, asked: Timestamp, head: &StoredHead) -> bool {
        self.gate.is_forgotten(key, asked) || self.fate(key, head) == Fate::Gone
    }

    /// Whether memory holds something for this key.
    pub fn is_held(&self, key: &PrimaryKey) -> bool {
        let memory = self.gate.memory.borrow();
        !memory.get(&self.gate.searches.borrow().key(key)).is_empty()
    }

    /// Has memory let go of what was purged of this key.
    pub fn sweep(&self, key: &PrimaryKey) {
        let newest = self.gate.fleet.newest();
        let own = self.gate.key_in_memory(key);
        let fate = |head: &StoredHead| self.fate(key, head);
        self.gate.memory.borrow_mut().judge(&own, newest, self.ports.now(), fate);
    }
}
