//! Engines that lack layers, one or several, without a switch in the product.
//!
//! Our own look is switched off by putting the attack in the place of an innocent file after it; the whitelists by
//! an ffmpeg that drops them; what the kernel does by a kernel that lacks it (see `support/kernel.rs`).

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use reelpool_media::{Engine, Sandbox};

use crate::forms::{Form, Ground};
use crate::support::engine;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// Our own look at the first bytes.
    Sniff,
    /// `-format_whitelist`.
    Formats,
    /// `-protocol_whitelist`; without it all protocols are let in, network and all.
    Protocols,
    /// ffmpeg's own refusal of tracks in other files.
    OwnTracks,
    Landlock,
    Seccomp,
    Limits,
}

use Layer::{Formats, Landlock, Limits, OwnTracks, Protocols, Seccomp, Sniff};

/// Each layer off alone, and each of the four that would do alone.
pub const COLUMNS: [(&str, &[Layer]); 12] = [
    ("all on", &[]),
    ("sniff off", &[Sniff]),
    ("formats off", &[Formats]),
    ("protocols off", &[Protocols]),
    ("tracks off", &[OwnTracks]),
    ("landlock off", &[Landlock]),
    ("seccomp off", &[Seccomp]),
    ("limits off", &[Limits]),
    ("cage off", &[Landlock, Seccomp, Limits]),
    ("only sniff", &[Formats, Protocols, OwnTracks, Landlock, Seccomp, Limits]),
    ("only formats", &[Sniff, Protocols, Landlock, Seccomp, Limits]),
    ("only cage", &[Sniff, Formats, Protocols, OwnTracks]),
];
/// Nothing holds.
pub const NONE: &[Layer] = &[Sniff, Formats, Protocols, OwnTracks, Landlock, Seccomp, Limits];

const CARELESS: &str =
    "file,crypto,data,concat,subfile,cache,http,httpproxy,tcp,udp,rtp,tls,https,ftp,gopher";

/// An engine without the layers of `off`, whose children are traced if `traced`. The master is `ground/in/master`.
pub fn without(ground: &Ground, form: &Form, off: &[Layer], traced: bool) -> Engine {
    let tools = ground.path("tools");
    let is_off = |layer| off.contains(&layer);
    let mut engine = engine();
    for (name, program) in [("ffprobe", &mut engine.tools.ffprobe), ("ffmpeg", &mut engine.tools.ffmpeg)] {
        let drop = |layer: Layer, option: &str, instead: &str| {
            let off = if is_off(layer) { instead } else { "set -- \"$@\" \"$option\" \"$1\"" };
            format!("  {option}) option=$1; shift; n=$((n-1)); {off}; shift; n=$((n-1)); continue ;;\n")
        };
        let mut script = String::from("#!/bin/sh\nn=$#\nwhile [ $n -gt 0 ]; do case $1 in\n");
        script += &drop(Formats, "-format_whitelist", ":");
        script +=
            &drop(Protocols, "-protocol_whitelist", &format!("set -- \"$@\" -protocol_whitelist {CARELESS}"));
        script += "  *) a=$1; shift; n=$((n-1)); set -- \"$@\" \"$a\" ;;\nesac; done\n";
        // ffprobe refuses an option that its demuxer does not know.
        let tracks = if is_off(OwnTracks) && form.name.starts_with("mov") { "-enable_drefs 1" } else { "" };
        let _ = writeln!(script, "exec {} {tracks} \"$@\"", program.display());
        *program = tools.join(name);
        write_program(program, &script);
    }
    let mut script = String::from("#!/bin/sh\n");
    if is_off(Sniff) {
        let (form, master) = (form.file.display(), ground.path("in/master").display().to_string());
        let _ = writeln!(script, "/bin/cp {form} {master}");
    }
    let cage = env!("CARGO_BIN_EXE_reelpool-media-cage");
    let mut inner = format!(
        "#!/bin/sh\nspec=$(printf %s \"$3\" | /bin/sed \"s/:PARENT,/:$PPID,/\")\nshift 3\nexec {cage}"
    );
    inner = inner.replace("PARENT", &std::process::id().to_string());
    for (layer, name) in [(Landlock, "landlock"), (Seccomp, "seccomp"), (Limits, "limits")] {
        if is_off(layer) {
            let _ = write!(inner, " --lacks {name}");
        }
    }
    inner += " sandbox --spec \"$spec\" \"$@\"\n";
    write_program(&tools.join("inner"), &inner);
    // --seccomp-bpf: the child stops at these calls only. strace is then the parent of the cage.
    let strace = "strace -ff --seccomp-bpf -e trace=open,openat,openat2,socket,connect,bind -o";
    let strace = if traced { format!("{strace} {}", tools.join("trace").display()) } else { String::new() };
    let _ = writeln!(script, "exec {strace} {} \"$@\"", tools.join("inner").display());
    let through = tools.join("through");
    write_program(&through, &script);
    engine.sandbox = Sandbox::Via(through);
    engine
}

fn write_program(path: &Path, script: &str) {
    std::fs::write(path, script).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
