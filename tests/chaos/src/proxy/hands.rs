//! Who has which message in hand, by what passes between the workers and the queue.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde_json::Value;

use super::call::Call;

/// A message in a worker's hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The worker, by the address of its endpoint.
    pub who: IpAddr,
    /// The message's id.
    pub message: String,
    /// When the answer that brought it was sent.
    pub from: SystemTime,
    /// When the worker was done with it, or died; `None`: it has it still.
    pub to: Option<SystemTime>,
}

impl Held {
    /// Whether it was in hand at any moment from `begin` to `end`.
    #[must_use]
    pub fn during(&self, begin: SystemTime, end: SystemTime) -> bool {
        self.from <= end && self.to.is_none_or(|to| to >= begin)
    }
}

/// All hands. A worker has one message at a time.
#[derive(Debug)]
pub struct Hands {
    /// A heartbeat hides a message for exactly this long; anything else lets go of it.
    visibility: u64,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    all: Vec<Held>,
    /// Where in `all` each worker's last one is.
    last: HashMap<IpAddr, usize>,
}

impl Inner {
    fn end(&mut self, who: IpAddr, at: SystemTime) {
        if let Some(index) = self.last.remove(&who) {
            self.all[index].to = Some(at);
        }
    }
}

impl Hands {
    pub fn new(visibility: Duration) -> Self {
        Self { visibility: visibility.as_secs(), inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker asks for a message: it has none.
    pub fn asks(&self, who: IpAddr, at: SystemTime) {
        self.lock().end(who, at);
    }

    /// A worker asks for something that may let go of the message in its hand.
    pub fn before(&self, who: IpAddr, call: Call, body: &Bytes, at: SystemTime) {
        let lets_go = match call {
            Call::Delete => true,
            Call::Extend => {
                let asked: Value = serde_json::from_slice(body).unwrap_or_default();
                asked["VisibilityTimeout"].as_u64() != Some(self.visibility)
            }
            _ => false,
        };
        if lets_go {
            self.lock().end(who, at);
        }
    }

    /// A worker is given this answer to its question for a message.
    pub fn received(&self, who: IpAddr, answer: &Bytes, at: SystemTime) {
        let Some(message) = message_of(answer) else { return };
        let mut inner = self.lock();
        inner.end(who, at);
        let index = inner.all.len();
        inner.all.push(Held { who, message, from: at, to: None });
        inner.last.insert(who, index);
    }

    /// A worker is no more.
    pub fn died(&self, who: IpAddr, at: SystemTime) {
        self.lock().end(who, at);
    }

    pub fn all(&self) -> Vec<Held> {
        self.lock().all.clone()
    }
}

/// Whether this answer brings a message.
pub fn has_message(answer: &Bytes) -> bool {
    message_of(answer).is_some()
}

fn message_of(answer: &Bytes) -> Option<String> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    Some(answer["Messages"][0]["MessageId"].as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn body(value: &Value) -> Bytes {
        value.to_string().into()
    }

    type End = fn(&Hands, &dyn Fn(u64) -> Bytes);

    #[test]
    fn a_message_is_in_hand_from_its_answer_until_it_is_settled() {
        let message = body(&serde_json::json!({"Messages": [{"MessageId": "m"}]}));
        let extend = |seconds: u64| body(&serde_json::json!({"VisibilityTimeout": seconds}));
        let ends: [(&str, End); 5] = [
            ("deleted", |hands, _| hands.before(WHO, Call::Delete, &Bytes::new(), at(20))),
            ("handed back", |hands, extend| hands.before(WHO, Call::Extend, &extend(0), at(20))),
            ("to be tried again", |hands, extend| hands.before(WHO, Call::Extend, &extend(45), at(20))),
            ("let go", |hands, _| hands.asks(WHO, at(20))),
            ("dead", |hands, _| hands.died(WHO, at(20))),
        ];
        for (how, end) in ends {
            let hands = Hands::new(Duration::from_secs(10));
            hands.received(WHO, &body(&serde_json::json!({})), at(5));
            hands.received(WHO, &message, at(10));
            hands.before(WHO, Call::Extend, &extend(10), at(13));
            hands.before(WHO, Call::Get, &Bytes::new(), at(14));
            assert!(hands.all()[0].during(at(15), at(16)), "{how}");
            end(&hands, &extend);
            let held = hands.all();
            assert_eq!(held.len(), 1);
            assert_eq!((held[0].from, held[0].to), (at(10), Some(at(20))), "{how}");
            assert!(!held[0].during(at(21), at(22)) && !held[0].during(at(8), at(9)));
        }
    }
}
