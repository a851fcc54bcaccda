//! Peers that come by TCP.

use std::time::Duration;

use super::peer::Laboratory;
use crate::codec::Codec;
use crate::link::proto::TransportState;

fn sound(lab: &mut Laboratory, publisher: usize, subscriber: usize, sequence: u16) -> usize {
    lab.send_media(publisher, sequence, u32::from(sequence) * 960, b"sound");
    lab.received(subscriber).len()
}

#[test]
fn a_peer_whose_datagrams_stop_goes_on_by_tcp() {
    let mut lab = Laboratory::new();
    let (publisher, subscriber) = lab.call(Codec::Opus);
    assert_eq!(sound(&mut lab, publisher, subscriber, 1), 1);
    // It may try TCP beside UDP: nothing changes while UDP is there.
    lab.connect_by_tcp(subscriber);
    assert_eq!(sound(&mut lab, publisher, subscriber, 2), 0);
    lab.advance(Duration::from_secs(5));
    lab.check_again(subscriber);
    assert_eq!(sound(&mut lab, publisher, subscriber, 3), 1);
    lab.connect_by_tcp(publisher);
    assert_eq!(sound(&mut lab, publisher, subscriber, 4), 1);
    // The agent gives up the pair of before: no harm is done.
    for sequence in 5..30 {
        lab.advance(Duration::from_secs(1));
        lab.check_again(publisher);
        lab.check_again(subscriber);
        assert_eq!(sound(&mut lab, publisher, subscriber, sequence), 1);
    }
    let lost: i32 = TransportState::Disconnected.into();
    assert!(!lab.transport_states().contains(&lost));
}

#[test]
fn a_connection_that_ends_is_a_path_that_is_gone_and_another_one_brings_it_back() {
    let mut lab = Laboratory::new();
    let (publisher, subscriber) = lab.call(Codec::Opus);
    lab.advance(Duration::from_secs(5));
    lab.connect_by_tcp(subscriber);
    assert_eq!(sound(&mut lab, publisher, subscriber, 1), 1);

    lab.disconnect(subscriber);
    let lost: i32 = TransportState::Disconnected.into();
    assert_eq!(lab.transport_states().last(), Some(&lost));
    assert_eq!(sound(&mut lab, publisher, subscriber, 2), 0);
    lab.disconnect(subscriber);

    for (turn, sequence) in [(0, 3), (1, 4)] {
        // From another port and then from the same one.
        match turn {
            0 => lab.connect_by_tcp(subscriber),
            _ => {
                lab.disconnect(subscriber);
                lab.check_again(subscriber);
            }
        }
        let back: i32 = TransportState::Connected.into();
        assert_eq!(lab.transport_states().last(), Some(&back));
        assert_eq!(sound(&mut lab, publisher, subscriber, sequence), 1);
    }
}
