//! The layers that only Linux has.

use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus, Scope,
};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use super::{Spec, WARNED, syscalls};

/// Where a dynamically linked program finds its loader, its libraries and their settings. Absent ones are skipped.
const SYSTEM: [&str; 9] = [
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/nix/store",
    "/sys/devices/system/cpu",
];
/// Devices that hold nothing.
const DEVICES: [&str; 3] = ["/dev/null", "/dev/urandom", "/dev/zero"];
/// Newer kernels enforce all of it, older ones what they know.
const NEWEST: ABI = ABI::V6;

/// Everything but the resource limits, in the order in which one layer does not forbid the next.
pub(super) fn lock_in(spec: &Spec, program: &Path) -> Result<(), String> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| format!("cannot ask to die with the parent: {error}"))?;
    // The parent may have died before that call; then nobody waits for this child.
    if getppid().map(|pid| pid.as_raw_nonzero().get()) != i32::try_from(spec.parent).ok() {
        return Err("the parent is gone".into());
    }
    // When memory runs out, the kernel is to take the child and not the worker. A wish: it may not be granted.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    rustix::thread::set_no_new_privs(true)
        .map_err(|error| format!("cannot give up new privileges: {error}"))?;
    match restrict_files(spec, program) {
        Ok(RulesetStatus::NotEnforced) => {
            eprintln!("{WARNED}this kernel has no Landlock: files are guarded by the other layers only");
        }
        Ok(RulesetStatus::PartiallyEnforced | RulesetStatus::FullyEnforced) => {}
        Err(error) => return Err(format!("Landlock: {error}")),
    }
    syscalls::restrict()
}

fn restrict_files(spec: &Spec, program: &Path) -> Result<RulesetStatus, landlock::RulesetError> {
    let read_only = AccessFs::ReadFile | AccessFs::ReadDir;
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    let mut allow = |path: &Path, access: BitFlags<AccessFs>| {
        // A path that is not there needs no rule, and giving none only ever forbids.
        let Ok(fd) = PathFd::new(path) else { return Ok(()) };
        let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
        (&mut rules).add_rule(PathBeneath::new(fd, access)).map(drop)
    };
    for path in SYSTEM {
        allow(path.as_ref(), read_only | AccessFs::Execute)?;
    }
    for path in DEVICES {
        allow(path.as_ref(), AccessFs::ReadFile | AccessFs::WriteFile)?;
    }
    allow(program, AccessFs::ReadFile | AccessFs::Execute)?;
    for path in &spec.read {
        allow(path, read_only)?;
    }
    for path in &spec.write {
        let write =
            read_only | AccessFs::WriteFile | AccessFs::MakeReg | AccessFs::RemoveFile | AccessFs::Truncate;
        allow(path, write)?;
    }
    Ok(rules.restrict_self()?.ruleset)
}
