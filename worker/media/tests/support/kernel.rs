//! Kernels that lack a layer of the cage, by a filter that answers in their place.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

/// Takes `layer` (`landlock`, `seccomp`, `any-seccomp` or `limits`) away from this process and what it becomes.
pub fn without(layer: &str) -> Result<(), String> {
    let set_seccomp = i64::from(libc::PR_SET_SECCOMP).unsigned_abs();
    let seccomp = || {
        Ok::<_, String>([
            (libc::SYS_prctl, when(0, SeccompCmpOp::Eq, set_seccomp)?),
            (libc::SYS_seccomp, vec![]),
        ])
    };
    match layer {
        // As a kernel older than 5.13 says.
        "landlock" => answer(libc::ENOSYS, [(libc::SYS_landlock_create_ruleset, vec![])]),
        // "Done", says this one, and nothing was.
        "seccomp" => answer(0, seccomp()?),
        // This one says that it cannot.
        "any-seccomp" => answer(libc::EINVAL, seccomp()?),
        "limits" => answer(0, [(libc::SYS_prlimit64, when(2, SeccompCmpOp::Ne, 0)?)]),
        other => Err(format!("no layer is called `{other}`")),
    }
}

fn when(argument: u8, is: SeccompCmpOp, value: u64) -> Result<Vec<SeccompRule>, String> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Qword, is, value).map_err(failed)?;
    Ok(vec![SeccompRule::new(vec![condition]).map_err(failed)?])
}

/// From now on, these calls give `errno` and do nothing; with 0 they seem to have done it.
fn answer(
    errno: libc::c_int,
    calls: impl IntoIterator<Item = (libc::c_long, Vec<SeccompRule>)>,
) -> Result<(), String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(failed)?;
    let action = SeccompAction::Errno(errno.unsigned_abs());
    let rules: BTreeMap<_, _> = calls.into_iter().collect();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, arch).map_err(failed)?;
    let program: BpfProgram = filter.try_into().map_err(failed)?;
    seccompiler::apply_filter(&program).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> String {
    error.to_string()
}
