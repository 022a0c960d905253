//! What was planned is done, step by step: workers are told, marks are written, the number is written. Each may fail.

use std::rc::Rc;

use reelpool::fleet::Report;
use reelpool::operator::plan::is_ready_to_go;
use reelpool_core::WorkerId;

use super::super::worker::{id, name};
use super::super::{Bug, Config, Late, Steps, World, instant, timestamp};
use super::{Acts, Memory, Operator, Question, Step, Todo};

impl Config {
    /// Goes on with what is done at once: a question or a mark between which and the next the operator is killed is as one
    /// that is lost.
    pub(super) fn at_once(&self, words: String, begun: World, found: &mut Vec<(String, World)>) {
        let is_apart = |todo: &Todo| matches!(todo, Todo::Write(_) | Todo::Tell(_, Question::LastWord(_)));
        let operator = begun.operator.clone();
        if let Some(Step::Acts(acts)) = operator.as_ref().map(|operator| &operator.step)
            && acts.todo.front().is_some_and(|todo| !is_apart(todo))
        {
            let mut next = Steps { world: &begun, found: Vec::new() };
            if let Some(operator) = &operator {
                self.acts(operator, acts, &mut next);
            }
            for (more, world) in next.found {
                self.at_once(format!("{words}; {more}"), world, found);
            }
        } else {
            found.push((words, begun));
        }
    }

    /// Does the next thing that is to be done.
    pub(super) fn acts(&self, operator: &Operator, acts: &Acts, steps: &mut Steps<'_>) {
        let mut rest = acts.clone();
        let Some(todo) = rest.todo.pop_front() else { return };
        match todo {
            Todo::Tell(names, question) => self.tell(&names, question, operator, &rest, steps),
            Todo::Mark(marks) => self.mark(&marks, &operator.memory, &rest, steps),
            Todo::Write(replicas) => self.write(replicas, operator, &rest, steps),
        }
    }

    /// Writes marks: each is written and answered, written without an answer, or not written and not answered. At most one
    /// fails; where one does, nothing else is done in this pass.
    fn mark(&self, marks: &[(u8, bool)], memory: &Memory, rest: &Acts, steps: &mut Steps<'_>) {
        let fails = |index: usize| (1..3_usize).map(move |fate| Some((index, fate)));
        let faults = (0..marks.len()).filter(|_| self.faults.answers_are_lost).flat_map(fails);
        for failure in std::iter::once(None).chain(faults) {
            let mut next = steps.world.clone();
            let mut memory = memory.clone();
            let mut texts = Vec::new();
            for (index, (pod, to_go)) in marks.iter().enumerate() {
                let Some(pod) = next.pod_mut(*pod) else { continue };
                let fate = failure.filter(|(failing, _)| *failing == index).map_or(0, |(_, fate)| fate);
                let version = (fate == 0).then(|| (pod.version + 1).to_string());
                if fate < 2 {
                    pod.is_marked = *to_go;
                    pod.version += 1;
                }
                let ending = ["", ", without an answer", ", which is lost"][fate];
                texts.push(format!("{}{}{ending}", if *to_go { "" } else { "un" }, name(pod.name)));
                memory.marks.wrote(id(pod.name), *to_go, version);
            }
            let is_over = failure.is_some() || rest.todo.is_empty();
            let step = if is_over { Step::Rests } else { Step::Acts(rest.clone()) };
            next.operator = Some(Rc::new(Operator::new(memory, step)));
            steps.found.push((format!("marks {}", texts.join(" and ")), next));
        }
    }

    fn tell(
        &self,
        names: &[u8],
        question: Question,
        operator: &Operator,
        rest: &Acts,
        steps: &mut Steps<'_>,
    ) {
        let verb = match question {
            Question::Undrain => "un-drains",
            Question::Drain(_) => "drains",
            Question::LastWord(_) => "drains for long",
        };
        let is_late_possible = !self.assumptions.questions_keep_their_order
            && question == Question::Undrain
            && steps.world.straggler.is_none();
        let fates: usize = if is_late_possible { 4 } else { 3 };
        // Each is heard and answered, heard without an answer, not heard, or heard later.
        for outcome in 0..fates.pow(u32::try_from(names.len()).unwrap_or(0)) {
            if outcome > 0 && !self.faults.answers_are_lost {
                break;
            }
            let mut world = steps.world.clone();
            let (now, mut left, mut texts, mut is_sure) = (world.now, outcome, Vec::new(), true);
            let mut said = Vec::new();
            for pod in names {
                let fate = left % fates;
                left /= fates;
                // Whether it answered matters to nobody but those who wait for the last word.
                if fate == 1 && !matches!(question, Question::LastWord(_)) {
                    is_sure = false;
                    break;
                }
                texts.push(format!("{}{}", name(*pod), ["", " (no answer)", " (lost)", " (late)"][fate]));
                if fate == 3 {
                    world.straggler = Some(*pod);
                }
                let Some(pod) = world.pod_mut(*pod).filter(|pod| pod.stage.runs()) else { continue };
                if fate < 2 {
                    match question {
                        Question::Undrain => pod.presence.undrain(),
                        Question::Drain(term) | Question::LastWord(term) => {
                            let term = std::time::Duration::from_secs(term.into());
                            let _ = pod.presence.drain(instant(now), term);
                        }
                    }
                }
                if fate == 0 {
                    let report = Report { status: pod.status(now, self.bug), asked_at: timestamp(now) };
                    said.push((pod.name, report.state()));
                }
            }
            if !is_sure {
                continue;
            }
            let state = |name| said.iter().find(|(pod, _)| *pod == name).map(|(_, state)| *state);
            let mut ready =
                rest.condemn.iter().map(|(name, stage)| is_ready_to_go(stage.as_read(), state(*name)));
            let goes_on = !matches!(question, Question::LastWord(_))
                || self.bug == Some(Bug::LoweredWithoutLastWord)
                || ready.all(|is_ready| is_ready);
            world.operator = Some(if goes_on {
                operator.at(if rest.todo.is_empty() { Step::Rests } else { Step::Acts(rest.clone()) })
            } else {
                let mut memory = Memory::clone(&operator.memory);
                memory.condemned.let_back(&rest.condemn.iter().map(|pod| id(pod.0)).collect::<Vec<_>>());
                operator.with(memory, Step::Rests)
            });
            steps.found.push((format!("{verb} {}", texts.join(" and ")), world));
        }
    }

    /// Writes the number, with the precondition on what was read.
    fn write(&self, replicas: u8, operator: &Operator, rest: &Acts, steps: &mut Steps<'_>) {
        let world = steps.world;
        let lowers = replicas < rest.replicas;
        let mut memory = Memory::clone(&operator.memory);
        let condemn: Vec<WorkerId> = rest.condemn.iter().map(|pod| id(pod.0)).collect();
        let new = memory.condemned.add(&condemn, world.timestamp());
        if !lowers {
            memory.condemned.number_rose(world.timestamp());
        }
        let step = if rest.todo.is_empty() { Step::Rests } else { Step::Acts(rest.clone()) };
        let went = |memory: Memory| Some(operator.with(memory, step.clone()));
        let failed = |mut memory: Memory, may_be_done: bool| {
            if lowers && may_be_done {
                memory.condemned.no_answer(rest.replicas.into());
                memory.unanswered = Some(rest.replicas);
            } else {
                memory.condemned.take_back(&new);
            }
            Some(operator.with(memory, Step::Rests))
        };
        // It is too late to lower it.
        if lowers && world.now > rest.since {
            steps.add("it is too late to lower the number", |world| world.operator = failed(memory, true));
            return;
        }
        let is_current = rest.version == world.version || self.bug == Some(Bug::LoweredWithoutPrecondition);
        if is_current {
            steps.add(format!("the operator writes {replicas}"), |world| {
                world.write(replicas, self.bug);
                world.operator = went(memory.clone());
            });
            if self.faults.writes_are_late {
                steps.add(format!("the operator writes {replicas}, without an answer"), |world| {
                    world.write(replicas, self.bug);
                    world.operator = failed(memory.clone(), true);
                });
            }
        } else {
            steps.add(format!("the operator may not write {replicas}: it was changed"), |world| {
                world.operator = failed(memory.clone(), false);
            });
        }
        if !self.faults.writes_are_late {
            return;
        }
        if world.late.is_none() {
            let late = Late { replicas, version: rest.version, sent: world.now };
            steps.add(format!("the operator sends {replicas}, which does not arrive yet"), |world| {
                world.late = Some(late);
                world.operator = failed(memory.clone(), true);
            });
        }
        steps.add(format!("the operator sends {replicas}, which is lost"), |world| {
            world.operator = failed(memory, true);
        });
    }
}
