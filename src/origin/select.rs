//! Which endpoint is asked.

/// A number for a client, by which the rendezvous selection goes: of its subject or its address.
pub fn affinity(bytes: &[u8]) -> u64 {
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, fnv)
}
