//! The queue against a naive model of it, over random histories under a clock of their own.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use proptest::prelude::*;

use super::tests::queue;
use super::*;

#[derive(Debug, Clone)]
enum Step {
    Send { delay: u64 },
    SendOnce { identity: u8, delay: u64 },
    Receive { visibility: u64 },
    Extend { receipt: usize, visibility: u64 },
    Delete { receipt: usize },
    Bury { receipt: usize },
    RedriveOne { nth: usize },
    RedriveAll,
    Pass { ms: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    let short = || prop_oneof![Just(0_u64), 1_u64..50];
    let receipt = || 0_usize..8;
    prop_oneof![
        4 => short().prop_map(|delay| Step::Send { delay }),
        2 => (0_u8..4, short()).prop_map(|(identity, delay)| Step::SendOnce { identity, delay }),
        8 => short().prop_map(|visibility| Step::Receive { visibility }),
        3 => (receipt(), short()).prop_map(|(receipt, visibility)| Step::Extend { receipt, visibility }),
        3 => receipt().prop_map(|receipt| Step::Delete { receipt }),
        1 => receipt().prop_map(|receipt| Step::Bury { receipt }),
        1 => (0_usize..3).prop_map(|nth| Step::RedriveOne { nth }),
        1 => Just(Step::RedriveAll),
        6 => prop_oneof![4 => 1_i64..60, 1 => -100_i64..0].prop_map(|ms| Step::Pass { ms }),
    ]
}

/// A message of the model. `holder` counts the receives of the whole history, as a receipt no one else has.
#[derive(Debug, Clone)]
struct Message {
    body: String,
    since: i64,
    visible: i64,
    receives: u32,
    holder: Option<usize>,
}

#[derive(Debug, Default)]
struct Model {
    now: i64,
    sent: usize,
    receives: usize,
    max_receives: u32,
    live: Vec<Message>,
    dead: Vec<Message>,
    identities: HashSet<u8>,
}

impl Model {
    fn send(&mut self, delay: u64) -> String {
        let body = format!("message {}", self.sent);
        self.sent += 1;
        let visible = self.now + i64::try_from(delay).unwrap();
        self.live.push(Message { body: body.clone(), since: self.now, visible, receives: 0, holder: None });
        body
    }

    /// The body received, its receive count and its receipt.
    fn receive(&mut self, visibility: u64) -> Option<(String, u32, usize)> {
        loop {
            let at = self.live.iter().position(|m| m.visible <= self.now)?;
            if self.live[at].receives >= self.max_receives {
                let message = self.live.remove(at);
                self.dead.push(message);
                continue;
            }
            let message = &mut self.live[at];
            message.receives += 1;
            message.holder = Some(self.receives);
            message.since = self.now;
            message.visible = self.now + i64::try_from(visibility).unwrap();
            self.receives += 1;
            return Some((message.body.clone(), message.receives, self.receives - 1));
        }
    }

    fn extend(&mut self, holder: usize, visibility: u64) -> bool {
        let now = self.now;
        let Some(message) = self.live.iter_mut().find(|m| m.holder == Some(holder) && m.visible > now) else {
            return false;
        };
        message.since = now;
        message.visible = now + i64::try_from(visibility).unwrap();
        true
    }

    fn delete(&mut self, holder: usize, body: &str) -> bool {
        self.live.retain(|m| m.holder != Some(holder));
        !self.live.iter().chain(&self.dead).any(|m| m.body == body)
    }

    fn bury(&mut self, holder: usize) -> bool {
        let Some(at) = self.live.iter().position(|m| m.holder == Some(holder)) else {
            return false;
        };
        let message = self.live.remove(at);
        self.dead.push(message);
        true
    }

    fn redrive(&mut self, message: Message) {
        self.live.push(Message { since: self.now, visible: self.now, receives: 0, holder: None, ..message });
    }

    fn pass(&mut self, ms: i64) {
        self.now += ms;
        for message in &mut self.live {
            if message.since > self.now {
                message.visible -= message.since - self.now;
                message.since = self.now;
            }
        }
    }

    fn counts(&self) -> Counts {
        let count = |wanted: fn(&Message, i64) -> bool| {
            u64::try_from(self.live.iter().filter(|m| wanted(m, self.now)).count()).unwrap()
        };
        Counts {
            waiting: count(|m, now| m.visible <= now),
            in_flight: count(|m, now| m.visible > now && m.holder.is_some()),
            delayed: count(|m, now| m.visible > now && m.holder.is_none()),
            dead: u64::try_from(self.dead.len()).unwrap(),
        }
    }

    fn due_within(&self, ms: i64) -> u64 {
        let due = |m: &&Message| m.holder.is_none() && m.visible > self.now && m.visible <= self.now + ms;
        u64::try_from(self.live.iter().filter(due).count()).unwrap()
    }
}

/// Whether an operation on a receipt was done; any error but a lost hold is a failure.
fn done(result: Result<(), SpoolError>) -> bool {
    match result {
        Ok(()) => true,
        Err(SpoolError::HoldLost { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

fn agree(steps: Vec<Step>, max_receives: u32) -> Result<(), TestCaseError> {
    let (queue, hand) = queue(max_receives);
    let mut model = Model { now: hand.load(Ordering::SeqCst), max_receives, ..Model::default() };
    let mut receipts: Vec<(Receipt, String)> = Vec::new();
    let ms = Duration::from_millis;
    // Steps name receipts from the newest backwards.
    let pick = |receipts: &[(Receipt, String)], back: usize| {
        let at = receipts.len().checked_sub(back + 1)?;
        Some((at, receipts[at].0.clone(), receipts[at].1.clone()))
    };
    for step in steps {
        match step {
            Step::Send { delay } => {
                let body = model.send(delay);
                queue.send(&body, ms(delay)).unwrap();
            }
            Step::SendOnce { identity, delay } => {
                let body =
                    if model.identities.insert(identity) { model.send(delay) } else { "never".to_owned() };
                let sent = queue.send_once(&identity.to_string(), &body, ms(delay)).unwrap();
                prop_assert_eq!(matches!(sent, Sent::New(_)), body != "never");
            }
            Step::Receive { visibility } => {
                let expected = model.receive(visibility);
                let received = queue.receive(ms(visibility)).unwrap();
                prop_assert_eq!(
                    received.as_ref().map(|r| (r.body.as_str(), r.receive_count)),
                    expected.as_ref().map(|(body, count, _)| (body.as_str(), *count))
                );
                if let (Some(received), Some((body, _, holder))) = (received, expected) {
                    prop_assert_eq!(holder, receipts.len());
                    receipts.push((received.receipt, body));
                }
            }
            Step::Extend { receipt, visibility } => {
                if let Some((holder, receipt, _)) = pick(&receipts, receipt) {
                    let extended = done(queue.extend(&receipt, ms(visibility)));
                    prop_assert_eq!(extended, model.extend(holder, visibility));
                }
            }
            Step::Delete { receipt } => {
                if let Some((holder, receipt, body)) = pick(&receipts, receipt) {
                    prop_assert_eq!(done(queue.delete(&receipt)), model.delete(holder, &body));
                }
            }
            Step::Bury { receipt } => {
                if let Some((holder, receipt, _)) = pick(&receipts, receipt) {
                    prop_assert_eq!(
                        done(queue.dead_letter(&receipt, "reason", "detail")),
                        model.bury(holder)
                    );
                }
            }
            Step::RedriveOne { nth } => {
                if nth < model.dead.len() {
                    let message = model.dead.remove(nth);
                    let letters = queue.dead_letters(u32::MAX).unwrap();
                    let id = &letters.iter().find(|letter| letter.body == message.body).unwrap().id;
                    prop_assert_eq!(queue.redrive(Redrive::One(id)).unwrap(), 1);
                    model.redrive(message);
                }
            }
            Step::RedriveAll => {
                let dead = std::mem::take(&mut model.dead);
                prop_assert_eq!(queue.redrive(Redrive::All).unwrap(), u64::try_from(dead.len()).unwrap());
                for message in dead {
                    model.redrive(message);
                }
            }
            Step::Pass { ms } => {
                model.pass(ms);
                hand.store(model.now, Ordering::SeqCst);
            }
        }
        prop_assert_eq!(queue.counts().unwrap(), model.counts());
        prop_assert_eq!(queue.delayed_due_within(ms(20)).unwrap(), model.due_within(20));
        let letters: Vec<_> =
            queue.dead_letters(u32::MAX).unwrap().into_iter().map(|l| (l.body, l.receive_count)).collect();
        let dead: Vec<_> = model.dead.iter().rev().map(|m| (m.body.clone(), m.receives)).collect();
        prop_assert_eq!(letters, dead);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_queue_does_what_the_model_does(
        steps in proptest::collection::vec(step(), 1..80),
        max_receives in 1_u32..4,
    ) {
        agree(steps, max_receives)?;
    }
}
