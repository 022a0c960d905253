//! The addresses of a node, which no other node of this machine has at the same time.

use std::net::Ipv4Addr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

/// A pair of addresses for the cable between this machine and the box, and a range for the pods.
#[derive(Debug)]
pub(crate) struct Network {
    /// The name of the cable's end on this machine.
    pub(crate) link: String,
    /// Its address.
    pub(crate) host: Ipv4Addr,
    /// The node's.
    pub(crate) node: Ipv4Addr,
    /// The pods', as address/bits.
    pub(crate) pods: String,
    /// Nobody else has a socket of this name while this one is open; the kernel closes it when the process ends.
    _ours: UnixListener,
}

impl Network {
    /// The first that is free.
    pub(crate) fn take() -> Self {
        (0..=255_u8).find_map(Self::try_take).expect("there are fewer than 256 nodes")
    }

    fn try_take(index: u8) -> Option<Self> {
        let link = format!("reelpool{index}");
        // A node that was killed a moment ago may still hold its cable.
        if std::path::Path::new("/sys/class/net").join(&link).exists() {
            return None;
        }
        let name = SocketAddr::from_abstract_name(format!("reelpool-node-{index}")).unwrap();
        Some(Self {
            _ours: UnixListener::bind_addr(&name).ok()?,
            link,
            host: Ipv4Addr::new(10, 231, index, 1),
            node: Ipv4Addr::new(10, 231, index, 2),
            pods: format!("10.232.{index}.0/24"),
        })
    }
}
