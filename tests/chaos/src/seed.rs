//! From one seed to as many streams of random numbers as there are purposes: a change of one does not move the others.

use fastrand::Rng;

/// The random numbers of `seed` for one `purpose`: always the same.
#[must_use]
pub fn stream(seed: u64, purpose: &str) -> Rng {
    // FNV-1a, 64 bits: a hash that no new version of a library changes.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in seed.to_le_bytes().into_iter().chain(purpose.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    Rng::with_seed(hash)
}
