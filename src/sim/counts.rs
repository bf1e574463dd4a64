//! What the fleet asked of its helpers: what a bill is made of.

use super::fault::Helper;

/// How often something was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Origins.
    pub origin: usize,
    /// The Cache API.
    pub colo_reads: usize,
    /// Deletes too.
    pub colo_writes: usize,
    /// KV, for stored responses.
    pub kv_reads: usize,
    /// Deletes too: they cost the same.
    pub kv_writes: usize,
    /// Records of API keys that were read from KV.
    pub key_reads: usize,
    /// The objects that hold quotas.
    pub limiter: usize,
    /// The object that holds the counters.
    pub metrics: usize,
    /// The objects of keys with `collapse = "global"`.
    pub shield: usize,
    /// Reads of what the fleet shares, from KV: besides `kv_reads`.
    pub fleet_reads: usize,
    /// How often its object wrote that to KV.
    pub fleet_writes: usize,
    /// What its object was told to do.
    pub fleet_commands: usize,
}

impl Counts {
    /// Counts a read of colo or KV.
    pub fn reads(&mut self, helper: Helper) {
        *(if helper == Helper::Kv { &mut self.kv_reads } else { &mut self.colo_reads }) += 1;
    }

    /// Calls of Durable Objects.
    pub fn object_requests(&self) -> usize {
        self.limiter + self.metrics + self.shield
    }

    /// Counts a write.
    pub fn writes(&mut self, helper: Helper) {
        *(if helper == Helper::Kv { &mut self.kv_writes } else { &mut self.colo_writes }) += 1;
    }
}
