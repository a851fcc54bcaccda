use std::net::SocketAddr;
use std::time::Instant;

use super::{Credentials, Ice, IceRole, Protocol, RemoteCandidate};

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn credentials(name: &str) -> Credentials {
    Credentials {
        ufrag: name.into(),
        password: format!("{name}-with-a-password-of-22"),
    }
}

/// A full agent at this address, which knows a lite one by an address that the lite one does not know.
fn peer(at: &str, announced: &str) -> Ice {
    let (ours, theirs) = (credentials("peer"), credentials("server"));
    let sockets = [address(at)];
    let mut peer = Ice::new(IceRole::Full, &ours, &theirs, &sockets, &[Protocol::Udp]);
    peer.add_remote_candidates(&[RemoteCandidate {
        address: address(announced),
        priority: 1,
    }]);
    peer
}

#[test]
fn a_check_is_answered_whatever_address_the_socket_has() {
    for (socket, at, announced) in [
        ("127.0.0.1:7000", "127.0.0.1:9000", "127.0.0.1:7000"),
        ("0.0.0.0:7000", "198.51.100.1:9000", "203.0.113.1:7000"),
        ("[::]:7000", "[2001:db8::1]:9000", "[2001:db8::2]:7000"),
        ("169.254.1.1:7000", "169.254.1.2:9000", "169.254.1.1:7000"),
        ("[fe80::1]:7000", "[fe80::2]:9000", "[fe80::1]:7000"),
    ] {
        for protocol in [Protocol::Udp, Protocol::Tcp] {
            let now = Instant::now();
            let mut peer = peer(at, announced);
            peer.handle_timeout(now);
            let check = peer.poll_transmit().expect("a check");
            assert_eq!(check.remote, address(announced));

            let (ours, theirs) = (credentials("server"), credentials("peer"));
            let protocols = [Protocol::Udp, Protocol::Tcp];
            let sockets = [address(socket)];
            let mut server = Ice::new(IceRole::Lite, &ours, &theirs, &sockets, &protocols);
            let (local, remote) = (address(socket), address(at));
            assert!(server.handle_stun(now, protocol, local, remote, &check.datagram));
            let answer = server.poll_transmit().expect(socket);
            assert_eq!((answer.local, answer.remote), (local, remote));
            assert_eq!(answer.protocol, protocol);
        }
    }
}

#[test]
fn a_full_agent_checks_from_a_socket_on_all_addresses() {
    for (socket, candidate) in [
        ("0.0.0.0:7000", "198.51.100.1:9000"),
        ("[::]:7000", "[2001:db8::1]:9000"),
        ("169.254.1.1:7000", "169.254.1.2:9000"),
    ] {
        let mut agent = peer(socket, candidate);
        agent.handle_timeout(Instant::now());
        let check = agent.poll_transmit().expect(socket);
        assert_eq!(check.local, address(socket));
        assert_eq!(check.remote, address(candidate));
    }
}
