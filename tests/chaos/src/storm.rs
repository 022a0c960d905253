//! What is done to the programs in a run, and when.

use std::time::Duration;

use fastrand::Rng;

use crate::seed::stream;

/// The fleet has so long to itself before the first strike.
const FIRST: Duration = Duration::from_secs(3);
/// The pause between two strikes, in seconds.
const PAUSE: std::ops::Range<f64> = 0.8..4.2;

/// What a strike does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strike {
    /// SIGKILL for a worker.
    KillWorker,
    /// SIGTERM for a worker, as from a node that is drained.
    TermWorker,
    /// SIGSTOP for a worker, and SIGCONT after so long.
    StopWorker(Duration),
    /// SIGKILL for an ffmpeg.
    KillFfmpeg,
    /// SIGSTOP for an ffmpeg, and SIGCONT after so long.
    StopFfmpeg(Duration),
    /// SIGKILL for the controller, which is started again after so long.
    KillController(Duration),
    /// SIGTERM for the controller, which is started again so long after its end.
    TermController(Duration),
    /// SIGSTOP for the controller, and SIGCONT after so long.
    StopController(Duration),
    /// Nobody reaches the queue and the store for so long: connections are refused.
    Partition(Duration),
    /// For so long, half of what is asked of queue and store goes wrong.
    Squall(Duration),
    /// SIGKILL for the API server, which is started again after so long.
    KillApiServer(Duration),
    /// Nobody reaches the API server for so long but the controllers beside it.
    CutOffOperator(Duration),
    /// Somebody deletes a worker's pod.
    DeletePod,
}

/// A strike, when it comes, and whom it meets of those that it could: a number to be taken modulo how many there are.
#[derive(Debug, Clone, Copy)]
pub struct Blow {
    /// From the start of the run.
    pub at: Duration,
    /// What is done.
    pub strike: Strike,
    /// To whom.
    pub whom: usize,
}

/// What can be done in a shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sky {
    /// Processes, folders and the embedded queue.
    Folders,
    /// Processes, SQS and S3.
    Cloud,
    /// Pods, SQS and S3, and an API server.
    Cluster,
}

/// The strikes of `seed`, one after the other; whoever asks for them says when it is enough.
pub fn draw(seed: u64, sky: Sky) -> impl Iterator<Item = Blow> {
    let mut random = stream(seed, "storm");
    let mut at = FIRST;
    std::iter::repeat_with(move || {
        let blow = Blow { at, strike: strike(&mut random, sky), whom: random.usize(..) };
        at += Duration::from_secs_f64(PAUSE.start + random.f64() * (PAUSE.end - PAUSE.start));
        blow
    })
}

fn strike(random: &mut Rng, sky: Sky) -> Strike {
    let mut within = |from: f64, to: f64| Duration::from_secs_f64(from + random.f64() * (to - from));
    let processes = [
        (8, Strike::KillWorker),
        (3, Strike::TermWorker),
        // Some of these outlast the hold on the message, others do not.
        (4, Strike::StopWorker(within(0.5, 12.0))),
        (3, Strike::KillFfmpeg),
        (1, Strike::StopFfmpeg(within(0.5, 6.0))),
        (2, Strike::KillController(within(0.1, 3.0))),
        (1, Strike::TermController(within(0.1, 2.0))),
        (2, Strike::StopController(within(0.5, 8.0))),
    ];
    let network = [(2, Strike::Partition(within(0.5, 5.0))), (3, Strike::Squall(within(1.0, 5.0)))];
    let cluster = [
        (1, Strike::KillApiServer(within(0.5, 4.0))),
        (1, Strike::CutOffOperator(within(0.5, 6.0))),
        (2, Strike::DeletePod),
    ];
    let mut can = processes.to_vec();
    if sky != Sky::Folders {
        can.extend(network);
    }
    if sky == Sky::Cluster {
        can.extend(cluster);
    }
    let weights: usize = can.iter().map(|(weight, _)| weight).sum();
    let mut left = random.usize(..weights);
    for (weight, strike) in can {
        if left < weight {
            return strike;
        }
        left -= weight;
    }
    Strike::KillWorker
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: usize = 100;

    #[test]
    fn a_seed_always_brings_the_same_storm() {
        let storm = |seed| format!("{:?}", draw(seed, Sky::Cluster).take(MANY).collect::<Vec<_>>());
        assert_eq!(storm(7), storm(7));
        assert_ne!(storm(7), storm(8));
    }

    #[test]
    fn nobody_is_struck_with_what_is_not_there() {
        for seed in 0..50 {
            for blow in draw(seed, Sky::Folders).take(MANY) {
                let elsewhere = matches!(
                    blow.strike,
                    Strike::Partition(_)
                        | Strike::Squall(_)
                        | Strike::KillApiServer(_)
                        | Strike::CutOffOperator(_)
                        | Strike::DeletePod
                );
                assert!(!elsewhere, "{blow:?}");
            }
        }
    }
}
