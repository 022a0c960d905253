//! A port that is ours for as long as we want it.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::net::{
    AddressFamily, SocketAddrAny, SocketFlags, SocketType, bind, getsockname, socket_with, sockopt,
};

/// A TCP port that the kernel gives to nobody else, neither between two lives of the server nor before the first.
///
/// It is held by a socket that is bound and does not listen. A server that sets `SO_REUSEPORT` may listen on it
/// (kube-apiserver with `--permit-port-sharing`); the holder gets none of its connections.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _holder: OwnedFd,
}

impl Port {
    /// A free port of the loopback.
    pub(crate) fn reserve() -> Self {
        // Programs that the test starts must not inherit it: they would hold it longer.
        let holder =
            socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        sockopt::set_socket_reuseport(&holder, true).unwrap();
        bind(&holder, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address: SocketAddrAny = getsockname(&holder).unwrap();
        let number = SocketAddrV4::try_from(address).unwrap().port();
        Self { number, _holder: holder }
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use rustix::net::listen;

    use super::*;

    fn shared(port: u16) -> rustix::io::Result<OwnedFd> {
        let server = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        sockopt::set_socket_reuseport(&server, true)?;
        bind(&server, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
        listen(&server, 8)?;
        Ok(server)
    }

    #[test]
    fn a_reserved_port_is_for_who_shares_it_and_for_nobody_else() {
        let port = Port::reserve();
        assert!(TcpListener::bind(("127.0.0.1", port.number())).is_err());
        assert!(std::net::TcpStream::connect(("127.0.0.1", port.number())).is_err(), "the holder listens");
        for _ in 0..2 {
            let server = TcpListener::from(shared(port.number()).unwrap());
            let client = std::thread::spawn({
                let port = port.number();
                move || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
            });
            // Were connections shared out to the holder too, this would wait for ever.
            server.accept().unwrap();
            assert!(client.join().unwrap());
        }
        let number = port.number();
        drop(port);
        assert!(shared(number).is_ok());
    }
}
