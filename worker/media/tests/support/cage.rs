//! The hidden `sandbox` subcommand alone, so that the tests of this crate can lock children in.
//!
//! `--lacks LAYER` before it makes the kernel one that lacks a layer, for this process and its children: the
//! system calls that would set the layer up fail as on an old kernel, or do nothing. The product has no such
//! switch: only a kernel can take a layer away from it.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
#[path = "kernel.rs"]
mod kernel;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    while args.next_if(|arg| arg == "--lacks").is_some() {
        let layer = args.next().unwrap_or_default();
        #[cfg(target_os = "linux")]
        if let Err(error) = kernel::without(&layer.to_string_lossy()) {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    }
    reelpool_media::sandbox::main(args.skip(1))
}
