//! Harm that lasts for a while: who was stopped goes on, what was cut off is reached again, a squall passes.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::proxy::{Proxy, Weather};
use crate::tally::Tally;

/// What lasts, and until when.
#[derive(Debug, Default)]
pub struct Lasting {
    stopped: Vec<(Instant, Pid)>,
    reconnect_at: Option<Instant>,
    calm_at: Option<Instant>,
}

impl Lasting {
    /// A process was just stopped, if one was met: it goes on after `time`.
    pub fn stop(&mut self, met: Option<Pid>, time: Duration) {
        self.stopped.extend(met.map(|pid| (Instant::now() + time, pid)));
    }

    /// Nobody reaches queue and store for `time`.
    pub fn cut_off(&mut self, proxy: &Proxy, time: Duration) {
        proxy.cut_off();
        self.reconnect_at = Some(Instant::now() + time);
    }

    /// Half of what is asked of queue and store goes wrong for `time`.
    pub fn squall(&mut self, proxy: &Proxy, tally: &Tally, time: Duration) {
        tally.count("squall");
        proxy.weather(Weather::Squall);
        self.calm_at = Some(Instant::now() + time);
    }

    /// Ends what is due at `now`; the proxy is where there is one.
    pub fn end_due(&mut self, proxy: Option<&Proxy>, now: Instant) {
        self.stopped.retain(|(at, pid)| {
            let goes_on = *at <= now;
            if goes_on {
                go_on(*pid);
            }
            !goes_on
        });
        let Some(proxy) = proxy else { return };
        if self.reconnect_at.take_if(|at| *at <= now).is_some() {
            proxy.reconnect();
        }
        if self.calm_at.take_if(|at| *at <= now).is_some() {
            proxy.weather(Weather::Breeze);
        }
    }

    /// Ends all of it, and the breeze too.
    pub fn end_all(&mut self, proxy: Option<&Proxy>) {
        for (_, pid) in std::mem::take(self).stopped {
            go_on(pid);
        }
        if let Some(proxy) = proxy {
            proxy.weather(Weather::Calm);
            proxy.reconnect();
        }
    }
}

fn go_on(pid: Pid) {
    // It may have been killed meanwhile.
    let _ = kill_process(pid, Signal::CONT);
}
