//! Lines kept for each pool, bounded in number for each and in bytes over all.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;

use crate::pool_name::PoolName;

/// What a line costs besides its text, about.
const OVERHEAD: usize = 128;

/// The lines. The oldest goes first, whosever it is.
#[derive(Debug)]
pub struct Ring {
    per_pool: usize,
    total_bytes: usize,
    bytes: usize,
    /// The number that the next line gets: the order over all pools.
    next: u64,
    lines: HashMap<PoolName, VecDeque<(u64, Bytes)>>,
    /// Whose each line is, the oldest first.
    order: BTreeMap<u64, PoolName>,
}

impl Ring {
    pub fn new(per_pool: usize, total_bytes: usize) -> Self {
        Self { per_pool, total_bytes, bytes: 0, next: 0, lines: HashMap::new(), order: BTreeMap::new() }
    }

    /// Keeps `line` of `pool`. One that is longer than all that may be kept is not kept.
    pub fn push(&mut self, pool: &PoolName, line: Bytes) {
        let number = self.next;
        self.next += 1;
        self.bytes += cost(&line);
        self.order.insert(number, pool.clone());
        let lines = self.lines.entry(pool.clone()).or_default();
        lines.push_back((number, line));
        if lines.len() > self.per_pool {
            self.drop_oldest_of(pool);
        }
        while self.bytes > self.total_bytes {
            let Some((_, oldest)) = self.order.first_key_value() else { break };
            let oldest = oldest.clone();
            self.drop_oldest_of(&oldest);
        }
    }

    /// The last `limit` lines of `pool`, the newest last.
    pub fn last(&self, pool: &PoolName, limit: usize) -> Vec<Bytes> {
        let Some(lines) = self.lines.get(pool) else { return Vec::new() };
        lines.iter().skip(lines.len().saturating_sub(limit)).map(|(_, line)| line.clone()).collect()
    }

    /// Drops all lines of `pool`.
    pub fn forget(&mut self, pool: &PoolName) {
        for (number, line) in self.lines.remove(pool).unwrap_or_default() {
            self.order.remove(&number);
            self.bytes -= cost(&line);
        }
    }

    fn drop_oldest_of(&mut self, pool: &PoolName) {
        let Some(lines) = self.lines.get_mut(pool) else { return };
        if let Some((number, line)) = lines.pop_front() {
            self.order.remove(&number);
            self.bytes -= cost(&line);
        }
        if lines.is_empty() {
            self.lines.remove(pool);
        }
    }
}

fn cost(line: &Bytes) -> usize {
    line.len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> PoolName {
        PoolName::new("ns".to_owned(), name.to_owned())
    }

    fn text(ring: &Ring, pool: &str, limit: usize) -> String {
        ring.last(&named(pool), limit).iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }

    fn consistent(ring: &Ring) {
        let bytes: usize = ring.lines.values().flatten().map(|(_, line)| cost(line)).sum();
        assert_eq!(bytes, ring.bytes);
        assert_eq!(ring.lines.values().map(VecDeque::len).sum::<usize>(), ring.order.len());
        assert!(ring.bytes <= ring.total_bytes && ring.lines.values().all(|lines| !lines.is_empty()));
    }

    #[test]
    fn a_pool_keeps_its_last_lines() {
        let mut ring = Ring::new(3, 1_000_000);
        let (a, b) = (named("a"), named("b"));
        for line in ["1", "2", "3", "4", "5"] {
            ring.push(&a, line.into());
        }
        ring.push(&b, "x".into());
        consistent(&ring);
        assert_eq!(
            (text(&ring, "a", 99), text(&ring, "a", 2), text(&ring, "a", 0)),
            ("345".into(), "45".into(), String::new())
        );
        assert_eq!((text(&ring, "b", 9), text(&ring, "c", 9)), ("x".into(), String::new()));
        ring.forget(&a);
        consistent(&ring);
        assert_eq!((text(&ring, "a", 9), text(&ring, "b", 9)), (String::new(), "x".into()));
    }

    #[test]
    fn the_oldest_goes_first_whosever_it_is() {
        let mut ring = Ring::new(100, 10 * (OVERHEAD + 1));
        for number in 0..25 {
            let pool = named(&format!("pool-{}", number % 5));
            ring.push(&pool, "x".into());
            consistent(&ring);
        }
        assert_eq!(ring.order.len(), 10);
        assert!((0..5).all(|pool| text(&ring, &format!("pool-{pool}"), 9) == "xx"));
        // A long line drives out many, and one that is too long is not kept.
        ring.push(&named("long"), vec![b'y'; 5 * (OVERHEAD + 1)].into());
        consistent(&ring);
        assert_eq!(ring.lines[&named("long")].len(), 1);
        ring.push(&named("longer"), vec![b'z'; 11 * (OVERHEAD + 1)].into());
        consistent(&ring);
        assert!(!ring.lines.contains_key(&named("longer")));
    }
}
