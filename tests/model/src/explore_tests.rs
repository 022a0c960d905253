use super::*;

/// Counts up to a limit; may fall from 3 into a hole that nothing leaves.
struct Counter {
    limit: u8,
    has_hole: bool,
}

const HOLE: u8 = 100;

impl Model for Counter {
    type State = u8;
    type Action = String;
    type Key = u8;

    fn start(&self) -> u8 {
        0
    }

    fn steps(&self, state: &u8) -> Vec<(String, u8)> {
        let mut steps = Vec::new();
        if *state < self.limit {
            steps.push(("up".to_owned(), state + 1));
            steps.push(("two up".to_owned(), (state + 2).min(self.limit)));
        }
        if *state == self.limit {
            steps.push(("back".to_owned(), 0));
        }
        if *state == 3 && self.has_hole {
            steps.push(("fall".to_owned(), HOLE));
        }
        steps
    }

    fn key(&self, state: &u8) -> u8 {
        *state
    }

    fn broken(&self, state: &u8) -> Option<String> {
        (*state == 9).then(|| "nine".to_owned())
    }

    fn show(&self, state: &u8) -> String {
        state.to_string()
    }
}

const IS_ZERO: u8 = 1;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as it is asked for")]
fn facts(state: &u8) -> u8 {
    u8::from(*state == 0)
}

#[test]
fn every_state_is_found_once() {
    let counter = Counter { limit: 5, has_hole: false };
    let explored = explore(&counter, 100, facts).unwrap();
    assert_eq!((explored.states(), explored.depth, explored.steps.len()), (6, 3, 11));
    assert_eq!(explored.with(IS_ZERO), 1);
    assert_eq!(explored.can_always_reach("zero", 0, IS_ZERO), Ok(()));
}

#[test]
fn the_shortest_way_to_what_is_broken_is_told() {
    let counter = Counter { limit: 9, has_hole: false };
    let broken = explore(&counter, 100, facts).err().unwrap();
    assert_eq!(broken.what, "nine");
    let ends: Vec<&str> = broken.trace.iter().map(|(_, state)| state.as_str()).collect();
    assert_eq!(ends.len(), 6, "the start and five steps: {ends:?}");
    assert_eq!(ends.last(), Some(&"9"));
}

#[test]
fn a_hole_that_nothing_leaves_is_found() {
    let counter = Counter { limit: 5, has_hole: true };
    let explored = explore(&counter, 100, facts).unwrap();
    let broken = explored.can_always_reach("zero", 0, IS_ZERO).unwrap_err();
    let steps: Vec<&str> = broken.trace.iter().map(|(step, _)| step.as_str()).collect();
    assert_eq!(steps, ["it begins", "up", "two up", "fall"]);
    assert_eq!(explored.can_always_reach("zero", IS_ZERO, IS_ZERO), Ok(()), "not asked about the hole");
}

#[test]
fn there_is_an_end_to_what_is_explored() {
    let counter = Counter { limit: 50, has_hole: false };
    assert_eq!(explore(&counter, 8, facts).err().unwrap().what, TOO_MANY);
}

#[test]
fn figures_are_grouped() {
    assert_eq!([7, 1000, 1_234_567].map(grouped), ["7", "1,000", "1,234,567"]);
}
