//! A breadth-first search of all states that a model can reach.
//!
//! States are told apart by 128 bits of their key; of two different keys out of ten million the chance to share them is
//! below 10⁻²⁴. A state itself is kept only until its successors are known: a trace is walked again from the start.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

/// A system as states and the steps between them.
pub trait Model {
    /// All that the steps depend on.
    type State: Clone;
    /// A step, in words for people.
    type Action: fmt::Display;
    /// What tells states apart: two of the same key have the same future. Time is told relative to now.
    type Key: Hash;

    /// Where the system begins.
    fn start(&self) -> Self::State;
    /// Every step that can be next, and where it leads.
    fn steps(&self, state: &Self::State) -> Vec<(Self::Action, Self::State)>;
    /// See [`Model::Key`].
    fn key(&self, state: &Self::State) -> Self::Key;
    /// Which property does not hold in this state, if one does not.
    fn broken(&self, state: &Self::State) -> Option<String>;
    /// The state for people, one line.
    fn show(&self, state: &Self::State) -> String;
}

/// All states that a model reaches.
pub struct Explored<'a, M: Model> {
    model: &'a M,
    prints: Vec<u128>,
    parents: Vec<u32>,
    /// Where each step begins and ends.
    steps: Vec<(u32, u32)>,
    /// What holds in each state, as the caller sees it: bits.
    facts: Vec<u8>,
    depth: u32,
    took: Duration,
}

/// How a property is broken, and by the fewest steps that break it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which property.
    pub what: String,
    /// The steps, each with the state that it leads to.
    pub trace: Vec<(String, String)>,
    /// How many states were seen before it was found.
    pub states: usize,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} (after {} states):", self.what, self.states)?;
        for (number, (step, state)) in self.trace.iter().enumerate() {
            writeln!(f, "{number:>3}. {step:<58} {state}")?;
        }
        Ok(())
    }
}

/// The states were more than were allowed for.
pub const TOO_MANY: &str = "there are more states than allowed for";

/// Explores all states of `model`, at most `limit` of them. `facts` says what else holds in a state, as bits that
/// [`Explored::can_always_reach`] is asked about.
///
/// # Errors
/// The shortest way to a state in which a property is broken.
pub fn explore<M: Model>(
    model: &M,
    limit: usize,
    facts: impl Fn(&M::State) -> u8,
) -> Result<Explored<'_, M>, Broken> {
    let began = Instant::now();
    let mut explored = Explored {
        model,
        prints: Vec::new(),
        parents: Vec::new(),
        steps: Vec::new(),
        facts: Vec::new(),
        depth: 0,
        took: Duration::ZERO,
    };
    let mut known: HashMap<u128, u32> = HashMap::new();
    let start = model.start();
    let print = fingerprint(&model.key(&start));
    known.insert(print, 0);
    explored.prints.push(print);
    explored.parents.push(0);
    explored.facts.push(facts(&start));
    if let Some(what) = model.broken(&start) {
        return Err(explored.broken(what, 0));
    }
    let mut level = vec![(0_u32, start)];
    while !level.is_empty() {
        let mut next = Vec::new();
        for (from, state) in level {
            for (_, to) in model.steps(&state) {
                let print = fingerprint(&model.key(&to));
                let index = u32::try_from(explored.prints.len()).unwrap_or(u32::MAX);
                match known.entry(print) {
                    Entry::Occupied(seen) => explored.steps.push((from, *seen.get())),
                    Entry::Vacant(new) => {
                        new.insert(index);
                        explored.steps.push((from, index));
                        explored.prints.push(print);
                        explored.parents.push(from);
                        explored.facts.push(facts(&to));
                        if let Some(what) = model.broken(&to) {
                            return Err(explored.broken(what, index));
                        }
                        if explored.prints.len() > limit {
                            return Err(explored.broken(TOO_MANY.to_owned(), index));
                        }
                        next.push((index, to));
                    }
                }
            }
        }
        level = next;
        explored.depth += u32::from(!level.is_empty());
    }
    explored.took = began.elapsed();
    Ok(explored)
}

impl<M: Model> Explored<'_, M> {
    /// How many states there are.
    #[must_use]
    pub fn states(&self) -> usize {
        self.prints.len()
    }

    /// How many states have this fact.
    #[must_use]
    pub fn with(&self, fact: u8) -> usize {
        self.facts.iter().filter(|facts| *facts & fact == fact).count()
    }

    /// Whether from every state one can be reached that has all facts of `good` (in CTL: AG EF good). Only states
    /// that have all facts of `from` are asked about.
    ///
    /// # Errors
    /// The shortest way to a state from which none can be reached.
    pub fn can_always_reach(&self, what: &str, from: u8, good: u8) -> Result<(), Broken> {
        let count = self.states();
        // The steps by where they end: a list of where they begin for each state.
        let mut ends = vec![0_u32; count + 1];
        for (_, to) in &self.steps {
            ends[*to as usize + 1] += 1;
        }
        for index in 0..count {
            ends[index + 1] += ends[index];
        }
        let mut begins = vec![0_u32; self.steps.len()];
        let mut filled = ends.clone();
        for (from, to) in &self.steps {
            begins[filled[*to as usize] as usize] = *from;
            filled[*to as usize] += 1;
        }
        let mut reaches: Vec<bool> = self.facts.iter().map(|facts| facts & good == good).collect();
        let mut open: Vec<usize> = (0..count).filter(|index| reaches[*index]).collect();
        while let Some(to) = open.pop() {
            for step in ends[to]..ends[to + 1] {
                let before = begins[step as usize] as usize;
                if !reaches[before] {
                    reaches[before] = true;
                    open.push(before);
                }
            }
        }
        // States are in the order in which they were found: the first is the nearest.
        let lost = (0..count).find(|index| !reaches[*index] && self.facts[*index] & from == from);
        match lost {
            None => Ok(()),
            Some(index) => {
                Err(self.broken(format!("never again: {what}"), u32::try_from(index).unwrap_or(0)))
            }
        }
    }

    fn broken(&self, what: String, index: u32) -> Broken {
        let mut path = vec![index];
        let mut at = index;
        while at != 0 {
            at = self.parents[at as usize];
            path.push(at);
        }
        path.reverse();
        let mut state = self.model.start();
        let mut trace = vec![("it begins".to_owned(), self.model.show(&state))];
        for index in &path[1..] {
            let wanted = self.prints[*index as usize];
            let steps = self.model.steps(&state);
            let step = steps.into_iter().find(|(_, to)| fingerprint(&self.model.key(to)) == wanted);
            let Some((action, to)) = step else { break };
            state = to;
            trace.push((action.to_string(), self.model.show(&state)));
        }
        Broken { what, trace, states: self.states() }
    }
}

impl<M: Model> fmt::Display for Explored<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} states, {} steps between them, depth {}, {:.1} s",
            grouped(self.states()),
            grouped(self.steps.len()),
            self.depth,
            self.took.as_secs_f64()
        )
    }
}

/// 1234567 as `1,234,567`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        let _ = text.write_char(digit);
    }
    text
}

fn fingerprint(key: &impl Hash) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        key.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

#[cfg(test)]
#[path = "explore_tests.rs"]
mod tests;
