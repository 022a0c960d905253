//! Explores the protocols of scale-in and of the lease: the states that they can reach, with the real code wherever it is
//! pure. A property that does not hold is shown with the shortest way to where it does not.
//!
//! **Modelled** ([`scale_in`]): pods and their workers (`Presence`), a queue whose receives bring a message or none while a
//! drain is asked, the operator's passes (`plan`, `Condemned`, `Marks`, in the order of `operator/pass`) with any decision
//! that the core's rules permit, killed and begun anew between any two writes; lost questions and answers; writes of the
//! number that are lost, unanswered or late, with their precondition; Kubernetes, which sees numbers, marks and readiness
//! late, chooses by its order, and takes the chosen one after the other whatever the number is by then.
//! [`lease`]: candidates (`Candidate`) that stop at any point, writes that are lost or land at any time, lost answers.
//!
//! **Assumed**: each field of [`scale_in::Assumptions`], in its own words.
//!
//! **Left out**: rollouts, quotas, other writers of the number, workers that cannot be asked, the renewal of drains while
//! the API server is out, a look at the world that is older than its pass, clocks of different speed (the random model
//! test of the lease has them). A tick is coarse: 20 s and 5 s.

pub mod explore;
pub mod lease;
pub mod scale_in;
