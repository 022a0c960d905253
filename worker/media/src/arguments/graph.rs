//! The filter graph: from one decoded picture to all renditions.

use std::fmt::Write as _;

use super::seconds;
use crate::plan::{Piece, Plan, Planned};

/// The graph whose outputs `[v0]`, `[v1]`, … are `renditions`, largest first, of one piece. `origin_us` is where the
/// grid's frame 0 stands on the clock that the filters see.
pub(super) fn filter_graph(plan: &Plan, renditions: &[Planned], origin_us: i64, piece: Piece) -> String {
    let mut graph = format!("[0:{}]{},", plan.video, on_the_grid(plan, origin_us, piece));
    let last = renditions.len().saturating_sub(1);
    for (i, Planned { width, height, .. }) in renditions.iter().enumerate() {
        if i > 0 {
            let _ = write!(graph, ";[p{i}]");
        }
        let _ = write!(graph, "scale={width}:{height}:flags=bicubic,");
        if i == 0 {
            graph.push_str(&to_sdr(plan));
        }
        // Rounded sizes make each scale guess a new pixel shape.
        graph.push_str("setsar=1");
        if i < last {
            let _ = write!(graph, ",split=2[v{i}][p{}]", i + 1);
        } else {
            let _ = write!(graph, "[v{i}]");
        }
    }
    graph
}

/// Whole frames, one for each place of the grid that `piece` has, counted from 0. What comes before and after the piece
/// is counted off before anything is scaled.
fn on_the_grid(plan: &Plan, origin_us: i64, piece: Piece) -> String {
    let mut filters = String::new();
    if plan.deinterlace {
        filters.push_str("bwdif=mode=send_frame:parity=auto:deint=interlaced,");
    }
    let _ = write!(filters, "fps=fps={}:start_time={}", plan.grid.rate, seconds(origin_us));
    if piece != Piece::WHOLE {
        let _ = write!(filters, ",trim=start_frame={}", piece.first);
        if let Some(frames) = piece.frames {
            let _ = write!(filters, ":end_frame={}", piece.first.saturating_add(frames));
        }
    }
    filters.push_str(",setpts=PTS-STARTPTS");
    filters
}

/// HDR is turned into SDR at the size of the largest rendition: half of what it costs at the master's.
fn to_sdr(plan: &Plan) -> String {
    let Some(map) = &plan.tone_map else { return "format=yuv420p,".to_owned() };
    format!(
        "zscale=transferin={}:primariesin={}:matrixin={}:transfer=linear:npl=100,format=gbrpf32le,\
         zscale=primaries=bt709,tonemap=tonemap=hable:desat=0,zscale=transfer=bt709:matrix=bt709:range=tv,\
         format=yuv420p,",
        map.transfer, map.primaries, map.matrix
    )
}
