//! The controllers of Deployments and ReplicaSets, as one: it sees the number late, chooses by its order, and takes the
//! chosen one after the other, whatever the number is by then.

use std::fmt;

use super::worker::{Pod, Stage, name};
use super::{Config, NAMES, Names, Steps, World};

/// What Kubernetes knows and is about to do.
#[derive(Debug, Clone)]
pub struct Kubernetes {
    /// The number of replicas that it acts on.
    number: u8,
    /// The version of the Deployment that it has seen.
    version: u32,
    /// The pods that it takes, as bits.
    pub(super) chosen: u32,
    /// For how many ticks it has had something to do and done nothing of it.
    idle: u32,
}

impl Kubernetes {
    pub(super) fn at_rest(number: u8, version: u32) -> Self {
        Self { number, version, chosen: 0, idle: 0 }
    }

    /// Whether it has acted on the last number: what the Deployment's status tells as its observed generation.
    pub(super) fn has_seen(&self, version: u32) -> bool {
        self.version == version
    }

    /// Whether there is nothing for it to do.
    pub(super) fn rests(&self, world: &World) -> bool {
        self.is_idle(world.version, world.pods.len())
    }

    fn is_idle(&self, version: u32, pods: usize) -> bool {
        self.version == version && self.chosen == 0 && pods == usize::from(self.number)
    }

    /// Whether it has chosen all that it must take for the number.
    pub(super) fn has_chosen(&self, world: &World) -> bool {
        let left = world.pods.iter().filter(|pod| self.chosen & (1 << pod.name) == 0).count();
        self.version == world.version && left <= usize::from(self.number)
    }

    /// Whether it may let another tick pass.
    pub(super) fn may_be_slower(&self, world: &World, within: Option<u32>) -> bool {
        self.rests(world) || within.is_none_or(|within| self.idle < within)
    }

    /// A tick has passed.
    pub(super) fn waited(&mut self, version: u32, pods: usize) {
        self.idle = if self.is_idle(version, pods) { 0 } else { (self.idle + 1).min(3) };
    }

    pub(super) fn key(&self, world: &World, names: &Names, key: &mut Vec<u8>) {
        let chosen = names.all((0..NAMES).filter(|name| self.chosen & (1 << name) != 0));
        let is_current = self.version == world.version;
        // What it acted on before the last number, it acts on no more once it has seen that one.
        key.extend([self.number, u8::from(is_current)]);
        key.extend(chosen);
        key.push(u8::try_from(self.idle).unwrap_or(u8::MAX));
    }
}

impl fmt::Display for Kubernetes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} seen", self.number)?;
        for pod in (0..NAMES).filter(|pod| self.chosen & (1 << pod) != 0) {
            write!(f, ", {} chosen", name(pod))?;
        }
        Ok(())
    }
}

/// The order in which it takes pods, as its cache has them: those that do not run, those that are not ready, those of
/// the lowest cost.
fn rank(pod: &Pod) -> (u8, bool) {
    let (stage, is_marked) = pod.seen;
    let stage = match stage {
        Stage::NotStarted | Stage::CannotStart => 0,
        Stage::NotReady => 1,
        Stage::Ready => 2,
    };
    (stage, !is_marked)
}

impl Config {
    /// What Kubernetes does.
    #[expect(clippy::unused_self, reason = "as the others")]
    pub(super) fn kubernetes(&self, steps: &mut Steps<'_>) {
        let world = steps.world;
        let kubernetes = &world.kubernetes;
        for (index, pod) in world.pods.iter().enumerate() {
            if !pod.is_seen_as_it_is() {
                steps.add(format!("Kubernetes sees how {} is", name(pod.name)), |world| {
                    let pod = &mut world.pods[index];
                    pod.seen = (pod.stage, pod.is_marked);
                });
            }
        }
        if kubernetes.version != world.version {
            steps.add(format!("Kubernetes sees the number {}", world.replicas), |world| {
                world.kubernetes.version = world.version;
                world.kubernetes.number = world.replicas;
                // To see another number is no part of taking those that it has chosen.
                if world.kubernetes.chosen == 0 {
                    world.kubernetes.idle = 0;
                }
            });
        }
        for pod in world.pods.iter().map(|pod| pod.name).filter(|pod| kubernetes.chosen & (1 << pod) != 0) {
            steps.add(format!("Kubernetes takes {}", name(pod)), |world| world.take(pod));
        }
        // While it waits for what it has begun, it begins nothing else.
        if kubernetes.chosen != 0 {
            return;
        }
        let (number, pods) = (usize::from(kubernetes.number), world.pods.len());
        if pods > number {
            for chosen in choices(&world.pods, pods - number) {
                let names: String = world
                    .pods
                    .iter()
                    .map(|pod| pod.name)
                    .filter(|pod| chosen & (1 << pod) != 0)
                    .map(name)
                    .collect();
                steps.add(format!("Kubernetes chooses {names}"), |world| {
                    // It chooses and begins to take in one go.
                    world.kubernetes.chosen = chosen;
                });
            }
        } else if pods < number
            && let Some(new) = (0..NAMES).find(|new| !world.is_name_known(*new))
        {
            steps.add(format!("Kubernetes makes {}", name(new)), |world| {
                let pod = Pod::made(new, world.now);
                let place = world.pods.partition_point(|pod| pod.name < new);
                world.pods.insert(place, pod);
                world.kubernetes.idle = 0;
            });
        }
    }
}

/// All sets of `count` pods that may be chosen; equals are chosen by anything.
fn choices(pods: &[Pod], count: usize) -> Vec<u32> {
    let mut ranks: Vec<_> = pods.iter().map(rank).collect();
    ranks.sort_unstable();
    let last = ranks[count - 1];
    let set = |names: &mut dyn Iterator<Item = &Pod>| names.fold(0_u32, |set, pod| set | 1 << pod.name);
    let sure = set(&mut pods.iter().filter(|pod| rank(pod) < last));
    let equals: Vec<&Pod> = pods.iter().filter(|pod| rank(pod) == last).collect();
    let open = count - sure.count_ones() as usize;
    (0_u32..1 << equals.len())
        .filter(|pick| pick.count_ones() as usize == open)
        .map(|pick| {
            let picked = equals.iter().enumerate().filter(|(index, _)| pick & (1 << index) != 0);
            sure | set(&mut picked.map(|(_, pod)| *pod))
        })
        .collect()
}

impl World {
    fn take(&mut self, name: u8) {
        if let Some(pod) = self.pod(name).filter(|pod| pod.is_busy()) {
            self.interrupted = Some(pod.name);
            self.waiting += 1;
        }
        self.pods.retain(|pod| pod.name != name);
        self.kubernetes.chosen &= !(1 << name);
        self.kubernetes.idle = 0;
        self.straggler = self.straggler.filter(|straggler| *straggler != name);
    }

    /// Whether a pod has this name, or the operator remembers one that had.
    pub(super) fn is_name_known(&self, name: u8) -> bool {
        self.pod(name).is_some() || self.operator.as_ref().is_some_and(|operator| operator.remembers(name))
    }
}
