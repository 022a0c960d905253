//! What becomes of a request.

use std::time::Duration;

use fastrand::Rng;

use super::call::Call;

/// What becomes of a request and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Nothing: it passes.
    Pass,
    /// The service answers that it failed, 500.
    Fail,
    /// The service answers that it is asked too often.
    Throttle,
    /// The connection is cut before the service hears of it.
    DropRequest,
    /// The service does it; the connection is cut before the answer.
    DropAnswer,
    /// The service hears of it only after so long.
    LateRequest(Duration),
    /// The answer comes only after so long.
    LateAnswer(Duration),
    /// Half of the answer comes, then the connection is cut.
    CutBody,
    /// One byte of the answer is another.
    SpoilBody,
    /// The message is given to somebody else as well.
    Repeat,
    /// The queue says that it is empty.
    SayEmpty,
    /// Whoever asked is killed before the service hears of it.
    KillBefore,
    /// Whoever asked is killed when the service has done it, before the answer.
    KillAfter,
}

impl Deed {
    /// A deed that this call may meet.
    pub fn draw(random: &mut Rng, call: Call) -> Self {
        let late = Duration::from_secs_f64(0.1 + 2.9 * random.f64());
        let any = [
            Self::Fail,
            Self::Throttle,
            Self::DropRequest,
            // The one that matters: it was done, and nobody knows.
            Self::DropAnswer,
            Self::DropAnswer,
            Self::LateRequest(late),
            Self::LateAnswer(late),
        ];
        let more: &[Self] = match call {
            Call::Get => &[Self::CutBody, Self::SpoilBody, Self::CutBody, Self::SpoilBody],
            Call::Receive => &[Self::Repeat, Self::Repeat, Self::Repeat, Self::KillAfter],
            Call::Counts => &[Self::SayEmpty, Self::SayEmpty],
            // The steps after which something is there that was not.
            Call::Put | Call::Delete | Call::Send => {
                &[Self::KillBefore, Self::KillAfter, Self::KillBefore, Self::KillAfter]
            }
            _ => &[],
        };
        let chosen = random.usize(..any.len() + more.len());
        any.get(chosen).or_else(|| more.get(chosen - any.len())).copied().unwrap_or(Self::Fail)
    }

    /// Under which name it is counted; `None`: nothing was done, or it is counted when it is.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Pass | Self::Repeat | Self::KillBefore | Self::KillAfter => None,
            Self::Fail => Some("answer 500"),
            Self::Throttle => Some("throttled"),
            Self::DropRequest => Some("request lost"),
            Self::DropAnswer => Some("answer lost"),
            Self::LateRequest(_) => Some("request late"),
            Self::LateAnswer(_) => Some("answer late"),
            Self::CutBody => Some("body cut"),
            Self::SpoilBody => Some("body spoiled"),
            Self::SayEmpty => Some("count of zero"),
        }
    }
}
