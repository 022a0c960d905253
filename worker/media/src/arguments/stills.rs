//! The ffmpeg that takes still pictures from finished renditions.

use std::ffi::OsString;

use super::{Args, seconds};
use crate::package::layout;
use crate::plan::{Plan, Stills};

/// Of so many key frames, the poster is the one that is most like the others: neither black nor a flash.
const POSTER_OUT_OF: u32 = 5;

/// The arguments of the ffmpeg that makes poster and sprite sheets, whichever `plan` has, from its finished renditions. Only key
/// frames are decoded, where the decoder can leave out the rest.
#[must_use]
pub fn stills(plan: &Plan, stills: &Stills) -> Vec<OsString> {
    let mut args = Args::default();
    // Warnings would be of the old name of JPEG's pixel format alone.
    args.add("-nostdin -hide_banner -nostats -loglevel level+error -progress pipe:1 -stats_period 1 -y");
    let threads = plan.threads.to_string();
    let mut read = |index: usize, at_us: u64| {
        args.pairs(&[("-threads", &threads)]);
        args.add("-protocol_whitelist file -format_whitelist mov -noaccurate_seek -skip_frame nokey");
        args.pairs(&[("-ss", &seconds(i64::try_from(at_us).unwrap_or(i64::MAX)))]);
        let name = plan.renditions.get(index).map(|rendition| format!("file:{}", rendition.file_name()));
        args.pairs(&[("-i", &name.unwrap_or_default())]);
    };
    let (poster, storyboard) = (plan.profile.poster(), plan.profile.storyboard());
    if poster {
        read(stills.poster_from, stills.poster_at_us);
    }
    if storyboard {
        read(stills.sheets_from, 0);
    }
    let jpeg = "out_range=pc,format=yuvj420p";
    if poster {
        args.add("-map 0:v");
        args.pairs(&[("-vf", &format!("select=key,thumbnail={POSTER_OUT_OF},scale={jpeg}"))]);
        // Reading begins at a key frame before the moment asked for: what comes has times below zero.
        args.add("-fps_mode passthrough -frames:v 1 -q:v 3 -map_metadata -1 -f image2 -update 1");
        args.add(layout::POSTER);
    }
    if storyboard {
        let board = &stills.board;
        let taken = format!(
            "select=key,select=not(mod(n\\,{})),scale={}:{}:{jpeg},tile={}x{}",
            stills.every_keys, board.width, board.height, board.columns, board.rows
        );
        args.add(&format!("-map {}:v", u8::from(poster)));
        args.pairs(&[("-vf", &taken)]);
        args.add("-fps_mode passthrough -q:v 4 -map_metadata -1 -f image2");
        args.add(layout::SHEETS);
    }
    args.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::plan;
    use crate::plan::tests::{master, options};

    #[test]
    fn the_poster_and_the_sheets_have_their_sources() {
        let plan = plan(&master(640, 360), &"360p,180p".parse().unwrap(), &options());
        let frames = plan.grid.frame_at(20_000_000);
        let args = stills(&plan, &Stills::of(&plan, frames));
        let text = args.iter().map(|arg| arg.to_str().unwrap()).collect::<Vec<_>>().join(" ");
        let input = "-protocol_whitelist file -format_whitelist mov -noaccurate_seek -skip_frame nokey";
        let threads = plan.threads;
        assert_eq!(
            text,
            format!(
                "-nostdin -hide_banner -nostats -loglevel level+error -progress pipe:1 -stats_period 1 -y \
                 -threads {threads} {input} -ss 2.000000 -i file:360p.mp4 \
                 -threads {threads} {input} -ss 0.000000 -i file:180p.mp4 \
                 -map 0:v -vf select=key,thumbnail=5,scale=out_range=pc,format=yuvj420p \
                 -fps_mode passthrough -frames:v 1 -q:v 3 -map_metadata -1 -f image2 -update 1 poster.jpg \
                 -map 1:v -vf select=key,select=not(mod(n\\,1)),scale=160:90:out_range=pc,format=yuvj420p,\
                 tile=10x1 -fps_mode passthrough -q:v 4 -map_metadata -1 -f image2 sprite_%03d.jpg"
            )
        );
    }
}
